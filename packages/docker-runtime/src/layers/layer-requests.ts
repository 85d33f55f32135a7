import type { FrozenLayers } from '@opencode-tools/core';
import { checkedName } from './layer-paths.ts';
import type { ArchivePlan } from './plan-archive.ts';

/*
 * What `layer/layer.c` is asked for: words, each with a zero at its end. Layers and uppers are directories of its working directory: `d` is a
 * tree, `w` an upper's work directory, `listing` what the upper was when the layer was made from it.
 */

/** What a layer is made of. */
export type Addition = Omit<Extract<ArchivePlan, { readonly kind: 'add' }>, 'kind'>;

/** Lists an upper. Says how many hard links were copied up, then what differs from an earlier layer's listing, or all of it. */
export function listRequest(upper: string, previous: string | null): Buffer {
  return request('list', checkedName(upper), previous === null ? '' : checkedName(previous));
}

/**
 * Makes a layer of some names of an upper, brings it to the disk, and says what `sealRequest` says.
 *
 * @param on what the layer goes on top of
 * @param how `pack` makes one file of them where that can hold them, and then says so
 */
export function addRequest(
  upper: string,
  layer: string,
  on: FrozenLayers,
  { copy, attributes, gone }: Addition,
  how: 'add' | 'pack' = 'add',
): Buffer {
  const items = [
    ...copy.map((path) => `c${path}`),
    ...attributes.map((path) => `a${path}`),
    ...gone.map((path) => `g${path}`),
  ];
  // A directory is made before what is in it, and that before its next neighbour.
  const sorted = items.map((item) => ({ item, place: item.slice(1).replaceAll('/', '\0') }));
  sorted.sort(({ place: one }, { place: other }) => (one < other ? -1 : 1));
  const words = sorted.map(({ item }) => (item.length === 1 ? `${item}.` : `${item.charAt(0)}./${item.slice(1)}`));
  return request(how, checkedName(upper), checkedName(layer), ...stackWords(on), ...words);
}

/** Makes names of a layer that is one file; does nothing to one that has them. */
export function unpackRequest(layer: string): Buffer {
  return request('unpack', checkedName(layer));
}

/** Makes a layer of a tar that is read, brings it to the disk, and says its digest and what names the extended attributes of its top directory. */
export function fillWords(layer: string): readonly string[] {
  return ['fill', checkedName(layer)];
}

/** Makes a layer of all of an upper but for what lies too deep. */
export function copyRequest(upper: string, layer: string): Buffer {
  return request(...copyWords(`${checkedName(upper)}/d`, layer));
}

/** As `copyRequest`, for a directory of the helper. */
export function copyWords(tree: string, layer: string): readonly string[] {
  return ['copy', tree, checkedName(layer)];
}

/** The last steps for a layer that a script made of an upper, to go on top of others or of none. */
export function finishRequest(upper: string, layer: string, on: FrozenLayers): Buffer {
  return request('finish', checkedName(upper), checkedName(layer), ...stackWords(on));
}

/** Gives the top directory of an upper the extended attributes of a layer's. */
export function likeRequest(upper: string, layer: string): Buffer {
  return request('like', checkedName(upper), checkedName(layer));
}

/** Brings a layer to the disk, and says its digest, what is in it, the same again, and what its top directory is. */
export function sealRequest(layer: string): Buffer {
  return request(...sealWords(layer));
}

export function sealWords(layer: string): readonly string[] {
  return ['seal', checkedName(layer)];
}

/** SHA-256 over one deterministic stream of everything in a layer, holes excepted. */
export function digestWords(layer: string): readonly string[] {
  return ['digest', checkedName(layer)];
}

export function digestRequest(layer: string): Buffer {
  return request(...digestWords(layer));
}

/** What is said of a layer that is not there, in place of its digest. */
export const absentAnswer = 'absent\n';

export function scriptWords(script: string): readonly string[] {
  return ['sh', script];
}

export function scriptRequest(script: string): Buffer {
  return request(...scriptWords(script));
}

function stackWords({ layers, holds }: FrozenLayers): readonly string[] {
  return [layers.map(checkedName).join(','), holds === undefined ? '' : `${holds.entries} ${holds.bytes}`];
}

/** Names are bytes as Latin-1. */
function request(...words: readonly string[]): Buffer {
  return Buffer.from(words.map((word) => `${word}\0`).join(''), 'latin1');
}
