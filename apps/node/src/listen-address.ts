import { TransportError } from "@holdfast/environment";

/** Where a process listens by default: any free port, this host only. */
export const DEFAULT_LISTEN_ADDRESS = "tcp://127.0.0.1:0";

/** Addresses that mean "all of this host's": good for listening, and nobody can dial them. */
const EVERYWHERE = /^(?:tcp|tls):\/\/(?:0\.0\.0\.0|\[[0:]+\]):/i;

/** Each process would look for it elsewhere. */
const RELATIVE = /^unix:(?!\/)./i;

/**
 * Refuses an address that others could not dial: it is written to the volume as it stands, for them to find.
 *
 * @throws TransportError `ERR_HOLDFAST_ADDRESS_INVALID`.
 */
export function checkListenAddress(address: string): void {
  if (RELATIVE.test(address))
    throw new TransportError(
      "ERR_HOLDFAST_ADDRESS_INVALID",
      `others cannot dial ${address}: write the whole path, unix:/run/holdfast/a.sock for example`,
      address,
    );
  if (!EVERYWHERE.test(address)) return;
  throw new TransportError(
    "ERR_HOLDFAST_ADDRESS_INVALID",
    `others cannot dial ${address}: write the address of this host that they reach, tls://192.0.2.7:7000 for example`,
    address,
  );
}
