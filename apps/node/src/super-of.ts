import { openBlockDevice } from "@holdfast/block-device";
import { readSuper, type SuperReading, VOLUME_FORMAT_HASH } from "@holdfast/member";

/** What the volume says of itself, read without becoming a member. */
export async function superOf(url: string): Promise<SuperReading> {
  const device = await openBlockDevice(url, { isReadOnly: true });
  try {
    return await readSuper(device, VOLUME_FORMAT_HASH);
  } finally {
    await device.close();
  }
}
