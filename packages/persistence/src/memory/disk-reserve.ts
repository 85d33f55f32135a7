import { statfsSync } from 'node:fs';

const largestReserveBytes = 64 * 1024 ** 2;
/** Of a small disk, the reserve is this part of it. */
const reservedPart = 0.1;
/** Shorter outputs are not worth a look at the disk. */
export const lookEveryBytes = 1024 ** 2;

/**
 * Fails as a full disk does while there is still room for what a home has to record: an output may be as long as a disk, and must not
 * take what is needed to say so, and to delete something.
 *
 * @param directory one that exists on the disk
 * @throws Error with the code `ENOSPC`
 */
export function assertRoomBeside(directory: string): void {
  // Some microseconds; by another thread each look would hold the output up.
  const { bavail, blocks, bsize } = statfsSync(directory);
  const reserve = Math.min(largestReserveBytes, blocks * bsize * reservedPart);
  if (bavail * bsize >= reserve) return;
  throw Object.assign(new Error(`Less than ${Math.round(reserve)} bytes are free beside ${directory}`), {
    code: 'ENOSPC',
  });
}
