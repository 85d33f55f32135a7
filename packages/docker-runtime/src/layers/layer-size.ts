import type { LayerRoot, LayerSize } from '@opencode-tools/core';

/** Sums what `sizeScript` says. */
export function sizeOf(output: Buffer): { readonly size: LayerSize; readonly root: LayerRoot } {
  let entries = 0;
  let bytes = 0;
  let root: LayerRoot = { mode: 0o755, uid: 0, gid: 0 };
  for (const line of output.toString('latin1').split('\n')) {
    if (line.startsWith('/')) {
      const [mode = '', uid = '', gid = ''] = line.slice(1).split(' ');
      root = { mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid) };
    } else if (line !== '') {
      entries += 1;
      if (line.startsWith('f')) bytes += Number(line.slice(1));
    }
  }
  return { size: { entries, bytes }, root };
}
