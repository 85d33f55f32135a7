import { bootedProgram } from '../lane/supervisor-command.ts';
import { xattrOptions } from '../volumes/read-with-tar.ts';
import { checkedName, layersTarget } from './layer-paths.ts';
import { copyWords } from './layer-requests.ts';

/*
 * What helpers run: names are checked words, so nothing needs quoting. `d` is a layer's tree, `w` an upper's work directory,
 * `listing` what the upper was when the layer was made from it.
 */

const at = (name: string): string => `${layersTarget}/${checkedName(name)}`;

/** Puts all of an upper into a new layer. */
export function wholeScript(upper: string, layer: string): string {
  return ['set -eu', `mkdir ${at(layer)}`, `cp -a ${at(upper)}/d ${at(layer)}/d`].join('\n');
}

/** Copies a mounted tree into a new layer, after a look at what is mounted. @param isDeep when it has what lies too deep to be copied */
export function copyMountedScript(mounted: string, layer: string, names: readonly string[], isDeep = false): string {
  const copy = isDeep
    ? [`exec ${bootedProgram} ${copyWords(mounted, layer).join(' ')}`]
    : [`mkdir ${at(layer)}`, `cp -a ${mounted} ${at(layer)}/d`];
  return ['set -eu', ...mountCheck(mounted, names), ...copy].join('\n');
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

/** What the digest of a layer without content, as the engine made it, is taken of. */
export const emptyText = 'empty 755 0 0\n';

/** Writes a tar of a layer, with what the overlay notes on its names; of a packed one, the file that it is. */
export function readScript(layer: string): string {
  const options = '--sort=name --numeric-owner --format=posix --pax-option=delete=atime,delete=ctime';
  const attributes = [...xattrOptions, '--xattrs-include=trusted.overlay.*'].map((option) => `'${option}'`).join(' ');
  const tar = `tar -C ${at(layer)}/d -c ${options} ${attributes} .`;
  // It may be unpacked meanwhile: then there is a tree.
  return `set -eu; if [ -d ${at(layer)}/d ]; then ${tar}; else { cat <&3; exit; } 3<${at(layer)}/tar || ${tar}; fi`;
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
