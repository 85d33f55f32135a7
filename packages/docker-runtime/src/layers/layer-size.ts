import type { LayerRoot, LayerSize } from '@opencode-tools/core';

interface MeasuredLayer {
  readonly size: LayerSize;
  /** Of all that it goes on top of as well. */
  readonly holds: LayerSize;
  readonly root: LayerRoot;
  readonly digest: string;
  /** True for one that is a file and no tree yet. */
  readonly packed: boolean;
}

/** Reads what a layer that was brought to the disk is: its digest, its entries and bytes, those of its stack, and what its top directory is. */
export function sizeOf(output: Buffer): MeasuredLayer {
  const [first = '', entries, bytes, allEntries, allBytes, mode = '', uid, gid, form, named] = output
    .toString('latin1')
    .trim()
    .split(' ');
  const attributes = named === undefined ? {} : { attributes: named };
  const root = { mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid), ...attributes };
  return {
    size: { entries: Number(entries), bytes: Number(bytes) },
    holds: { entries: Number(allEntries), bytes: Number(allBytes) },
    root,
    digest: digestIn(first),
    packed: form === 'packed',
  };
}

/** The digest that an answer begins with. */
export function digestIn(said: string): string {
  const digest = said.slice(0, 64);
  if (/^[0-9a-f]{64}$/.test(digest)) return digest;
  throw new Error(`A layer has no digest: ${said.slice(0, 80)}`);
}
