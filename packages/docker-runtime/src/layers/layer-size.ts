import type { LayerRoot, LayerSize } from '@opencode-tools/core';

interface MeasuredLayer {
  readonly size: LayerSize;
  readonly root: LayerRoot;
  readonly digest: string;
}

/** Reads what `sizeScript` says: the digest first, then a line per entry, the top directory last. */
export function sizeOf(output: Buffer): MeasuredLayer {
  let entries = 0;
  let bytes = 0;
  let root: LayerRoot = { mode: 0o755, uid: 0, gid: 0 };
  const [first = '', ...lines] = output.toString('latin1').split('\n');
  for (const line of lines) {
    if (line.startsWith('/')) {
      const [mode = '', uid = '', gid = ''] = line.slice(1).split(' ');
      root = { mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid) };
    } else if (line !== '') {
      entries += 1;
      if (line.startsWith('f')) bytes += Number(line.slice(1));
    }
  }
  return { size: { entries, bytes }, root, digest: digestIn(first) };
}

/** What `sha256sum` says of its input. */
export function digestIn(said: string): string {
  const digest = said.slice(0, 64);
  if (/^[0-9a-f]{64}$/.test(digest)) return digest;
  throw new Error(`A layer has no digest: ${said.slice(0, 80)}`);
}
