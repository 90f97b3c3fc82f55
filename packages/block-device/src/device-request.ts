/*
 * What the devices of this package have in common: the check of a request, and its error.
 */
import { DeviceError, type DeviceErrorCode } from "@holdfast/environment";

/** A device as its requests see it. */
export interface RequestTarget {
  readonly url: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
}

/** An error of a device that could not be opened. */
export function openError(url: string, reason: string, cause?: unknown): DeviceError {
  return new DeviceError(
    "ERR_HOLDFAST_DEVICE_OPEN",
    `device ${url} cannot be opened: ${reason}`,
    { device: url, offsetBytes: 0n, lengthBytes: 0 },
    cause === undefined ? undefined : { cause },
  );
}

/** An error of one request. */
export function requestError(
  code: DeviceErrorCode,
  device: string,
  request: { readonly verb: string; readonly offsetBytes: bigint; readonly lengthBytes: number },
  reason: string,
  cause?: unknown,
): DeviceError {
  const { verb, offsetBytes, lengthBytes } = request;
  return new DeviceError(
    code,
    `${verb} of ${lengthBytes} bytes at ${offsetBytes} of device ${device} failed: ${reason}`,
    { device, offsetBytes, lengthBytes },
    cause === undefined ? undefined : { cause },
  );
}

/**
 * Checks that a request is made of whole sectors inside the device, and that the device is open.
 *
 * @throws {@link DeviceError} `ERR_HOLDFAST_DEVICE_CLOSED` or `ERR_HOLDFAST_DEVICE_RANGE`.
 */
export function checkRequest(
  target: RequestTarget,
  isClosed: boolean,
  verb: string,
  offsetBytes: bigint,
  lengthBytes: number,
): void {
  const request = { verb, offsetBytes, lengthBytes };
  if (isClosed) throw requestError("ERR_HOLDFAST_DEVICE_CLOSED", target.url, request, "the device is closed");
  const sector = target.sectorBytes;
  const isInside =
    offsetBytes >= 0n && lengthBytes >= 0 && offsetBytes + BigInt(lengthBytes) <= target.sizeBytes;
  if (!isInside || lengthBytes % sector !== 0 || Number(offsetBytes) % sector !== 0) {
    const reason = `requests are whole sectors of ${sector} bytes inside ${target.sizeBytes}`;
    throw requestError("ERR_HOLDFAST_DEVICE_RANGE", target.url, request, reason);
  }
}

/** The text of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system's name of an error, such as `EINVAL`, if it has one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
