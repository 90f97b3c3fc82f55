/*
 * The suite passes on the simplest device there is; so what it asks for is possible, and this is how to run it.
 */
import { type BlockDevice, DeviceError, type DeviceErrorCode } from "@holdfast/environment";
import { blockDeviceSuite, settleByWaiting, SUITE_DEVICE_BYTES } from "../src/index.ts";

blockDeviceSuite("an array of bytes", () => {
  const bytes = new Uint8Array(SUITE_DEVICE_BYTES);
  return {
    open: async () => arrayDevice(bytes),
    settle: settleByWaiting,
    dispose: async () => {},
  };
});

function arrayDevice(bytes: Uint8Array): BlockDevice {
  const url = "array:";
  let isClosed = false;
  return {
    url,
    sizeBytes: BigInt(bytes.length),
    sectorBytes: 512,
    isLocal: true,
    async read(offsetBytes, into) {
      const start = check(offsetBytes, into.length);
      into.set(bytes.subarray(start, start + into.length));
    },
    async write(offsetBytes, data) {
      bytes.set(data, check(offsetBytes, data.length));
    },
    async flush() {
      check(0n, 0);
    },
    async close() {
      isClosed = true;
    },
  };

  function check(offsetBytes: bigint, lengthBytes: number): number {
    if (isClosed) throw error("ERR_HOLDFAST_DEVICE_CLOSED", offsetBytes, lengthBytes);
    const start = Number(offsetBytes);
    if (start < 0 || start + lengthBytes > bytes.length || start % 512 !== 0 || lengthBytes % 512 !== 0) {
      throw error("ERR_HOLDFAST_DEVICE_RANGE", offsetBytes, lengthBytes);
    }
    return start;
  }

  function error(code: DeviceErrorCode, offsetBytes: bigint, lengthBytes: number): DeviceError {
    return new DeviceError(code, "request refused", { device: url, offsetBytes, lengthBytes });
  }
}
