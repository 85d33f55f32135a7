import { type LayerStack, OpencodeToolsError } from '@opencode-tools/core';

/** Where helpers have the volume of layers. */
export const layersTarget = '/layers';

/** The engine gives the kernel one page; what is longer is cut, and the mount succeeds with layers missing. */
const mostOptionBytes = 4_000;

const nameForm = /^[a-z0-9-]{1,40}$/;

/** Options of a local-driver volume that mounts the stack. */
export function overlayOptions(mountpoint: string, stack: LayerStack): Readonly<Record<string, string>> {
  const path = (name: string, part: 'd' | 'w'): string => `${mountpoint}/${checkedName(name)}/${part}`;
  const { upper, lowers } = stack;
  const o = [
    `lowerdir=${lowers.map((name) => path(name, 'd')).join(':')}`,
    ...(upper === null ? [] : [`upperdir=${path(upper, 'd')}`, `workdir=${path(upper, 'w')}`]),
    'redirect_dir=on,index=on,metacopy=off',
  ].join(',');
  if (Buffer.byteLength(o) >= mostOptionBytes) {
    throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `A stack of ${lowers.length} layers is too deep for one mount`, {
      details: { limit: 'layers', layers: lowers.length },
    });
  }
  return { type: 'overlay', device: 'overlay', o };
}

/** How many layers of ordinary names fit, beside one upper. */
export function mostLayersAt(mountpoint: string): number {
  const nameBytes = 12;
  const each = mountpoint.length + nameBytes + '/'.length + '/d:'.length;
  return Math.floor((mostOptionBytes - 200 - 2 * each) / each);
}

export function stackText({ upper, lowers }: LayerStack): string {
  return [upper ?? '', ...lowers].join(',');
}

/** Undefined for what is no stack's label. */
export function parseStack(text: string | undefined): LayerStack | undefined {
  if (text === undefined || text === '') return undefined;
  const [upper = '', ...lowers] = text.split(',');
  return { upper: upper === '' ? null : upper, lowers };
}

/** Names go into scripts and option strings as they are. */
export function checkedName(name: string): string {
  if (nameForm.test(name)) return name;
  throw new OpencodeToolsError('OCT_INTERNAL', `Not the name of a layer: ${name}`);
}
