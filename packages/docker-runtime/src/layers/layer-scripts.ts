import { checkedName, layersTarget } from './layer-paths.ts';
import { directoryFormat, fileFormat } from './upper-listing.ts';

/*
 * What helpers run: names are checked words, so nothing needs quoting. `d` is a layer's tree, `w` an upper's work directory,
 * `listing` what the upper was when the layer was made from it.
 */

const at = (name: string): string => `${layersTarget}/${checkedName(name)}`;
const everyAttribute = `--xattrs --xattrs-include='*'`;

/** Lists an upper. Says how many hard links were copied up, then what differs from an earlier listing, or all of it. */
export function listScript(upper: string, previous: string | null): string {
  const whole = 'cat listing.new';
  const last = previous === null ? undefined : `${at(previous)}/listing`;
  return [
    `set -eu; cd ${at(upper)}`,
    [
      `{ cd d; find . -type d -print0 | xargs -0 stat --printf='d${directoryFormat}'; find . ! -type d -printf 'd${fileFormat}'`,
      `cd ..; find w/index -type f -printf 'i${fileFormat}' 2>/dev/null || :; } | sort -z >listing.new`,
    ].join('; '),
    `printf '%s\\0' "$(find w/index -type f 2>/dev/null | wc -l)"`,
    last === undefined
      ? `printf 'all\\0'; ${whole}`
      : `if [ -f ${last} ]; then printf 'change\\0'; comm -z -3 ${last} listing.new; else printf 'all\\0'; ${whole}; fi`,
  ].join('\n');
}

/** Writes a tar of the directories whose names it reads, with what the overlay notes on them. */
export function marksScript(upper: string, inputBytes: number): string {
  const names = `--no-recursion --null -T - --xattrs --xattrs-include='trusted.overlay.*' --format=posix`;
  return `head -c ${inputBytes} | tar -C ${at(upper)}/d -c ${names}`;
}

/** Puts all of an upper into a new layer. */
export function wholeScript(upper: string, layer: string): string {
  return ['set -eu', `mkdir ${at(layer)}`, `cp -a ${at(upper)}/d ${at(layer)}/d`, finish(upper, layer)].join('\n');
}

/** Puts names of an upper into a new layer. It reads the names to copy, the removed ones as a tar, and directories. */
export function addScript(
  upper: string,
  layer: string,
  bytes: { readonly copy: number; readonly gone: number; readonly attributes: number },
): string {
  const from = `tar -C ${at(upper)}/d -c --format=posix --numeric-owner --sparse --no-recursion --null -T -`;
  const into = `tar -C ${at(layer)}/d -x -p --numeric-owner ${everyAttribute}`;
  return [
    'set -eu',
    `mkdir ${at(layer)} ${at(layer)}/d`,
    ...(bytes.copy > 0 ? [`head -c ${bytes.copy} | ${from} ${everyAttribute} | ${into}`] : []),
    ...(bytes.gone > 0 ? [`head -c ${bytes.gone} | ${into}`] : []),
    `head -c ${bytes.attributes} | ${from} ${everyAttribute} --xattrs-exclude='trusted.overlay.*' | ${into}`,
    finish(upper, layer),
  ].join('\n');
}

/** Copies a mounted tree into a new layer, after a look at what is mounted. */
export function copyMountedScript(mounted: string, layer: string, names: readonly string[]): string {
  return ['set -eu', ...mountCheck(mounted, names), `mkdir ${at(layer)}`, `cp -a ${mounted} ${at(layer)}/d`].join('\n');
}

/** The last steps for a layer that `copyMountedScript` made of an upper. */
export function finishScript(upper: string, layer: string): string {
  return ['set -eu', finish(upper, layer)].join('\n');
}

/** Fails unless every layer of the stack takes part in the mount. */
export function mountCheck(mounted: string, names: readonly string[]): readonly string[] {
  return [
    `line=$(grep " ${mounted} " /proc/self/mountinfo)`,
    `case "$line" in *" overlay "*) ;; *) echo "no overlay is mounted: $line" >&2; exit 9;; esac`,
    ...names.map(
      (name) => `case "$line" in *"/${checkedName(name)}/d"*) ;; *) echo "layer ${name} is missing" >&2; exit 9;; esac`,
    ),
  ];
}

export function sizeScript(layer: string): string {
  return ['set -eu', described(layer)].join('\n');
}

/** Unpacks the tar that it reads into a new layer, brings that to the disk, and says what is in it. */
export function fillScript(layer: string): string {
  const place = `mkdir -p ${at(layer)}/d; tar -C ${at(layer)}/d -x -p --numeric-owner --same-owner`;
  return ['set -eu', place, synced(layer, digest(layer))].join('\n');
}

/** What the digest of a layer without content, as the engine made it, is taken of. */
export const emptyText = 'empty 755 0 0\n';

/** SHA-256 over one deterministic stream of everything in a layer, holes excepted. */
export function digestScript(layer: string): string {
  return `set -eu; ${digest(layer)}`;
}

function digest(layer: string): string {
  const options = '--sort=name --numeric-owner --format=posix --pax-option=exthdr.name=x,delete=atime,delete=ctime';
  const stream = `tar -c ${options} ${everyAttribute} .`;
  return `( cd ${at(layer)}/d; if [ -n "$(ls -A)" ]; then ${stream}; else stat -c 'empty %a %u %g' .; fi | sha256sum )`;
}

/** Writes a tar of a layer, with what the overlay notes on its names. */
export function readScript(layer: string): string {
  const options = '--sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime';
  return `set -eu; tar -C ${at(layer)}/d -c ${options} --xattrs --xattrs-include='trusted.overlay.*' .`;
}

export function namesScript(): string {
  return `ls ${layersTarget}`;
}

export function listLayersScript(): string {
  return `cd ${layersTarget}; for one in *; do [ -d "$one" ] && du -sk "$one"; done; :`;
}

export function removeScript(names: readonly string[]): string {
  return `rm -rf ${names.map(at).join(' ')}`;
}

function finish(upper: string, layer: string): string {
  return `mv ${at(upper)}/listing.new ${at(layer)}/listing; ${described(layer)}`;
}

/** Brings a layer to the disk, and says its digest, what is in it, and what its top directory is. */
function described(layer: string): string {
  const look = `find ${at(layer)}/d -printf '%y%s\\n'; stat -c '/%a %u %g' ${at(layer)}/d`;
  return synced(layer, `${digest(layer)}; ${look}`);
}

/** Reads a layer while it is brought to the disk, and fails if either does. */
function synced(layer: string, reading: string): string {
  return `sync -f ${at(layer)} & syncing=$!; ${reading}; wait "$syncing"`;
}
