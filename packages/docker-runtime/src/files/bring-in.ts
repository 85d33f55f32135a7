/** So many names fit the arguments of one program, however long they are. */
const mostNames = 200;

/**
 * The shell function `bring`: puts what is in directory 1 into directory 2, name by name. What is not there yet comes whole, a file
 * takes the place of another in one step, and a directory that is there already gets its files, then its mode. A directory is changed by
 * being moved, so it is writable meanwhile.
 */
export const bringIn = `bring() {
[ -w "$1" ] || chmod u+rwx "$1" || return 1
set -- "$1" "$2" "$1"/* "$1"/.[!.]* "$1"/..?*
A=$1; B=$2; shift 2
for F do
shift
[ -e "$F" ] || [ -L "$F" ] || continue
Q=$B/\${F##*/}
if [ ! -d "$F" ] || [ -L "$F" ]; then
[ -L "$Q" ] || [ ! -d "$Q" ] || rmdir "$Q" || return 1
set -- "$@" "$F"
continue
fi
if [ -L "$Q" ] || [ ! -d "$Q" ]; then rm -f "$Q" || return 1; fi
M=$(stat -c %a "$F") || return 1
if [ -d "$Q" ]; then
( bring "$F" "$Q" ) || return 1
else
[ -w "$F" ] || chmod u+w "$F" || return 1
mv "$F" "$Q" || return 1
fi
[ "$(stat -c %a "$Q")" = "$M" ] || chmod "$M" "$Q" || return 1
done
[ $# != 0 ] || return 0
if [ $# -le ${mostNames} ]; then mv -f "$@" "$B/"
else find "$A" -mindepth 1 -maxdepth 1 ! -type d -exec sh -c 'mv -f "$@" "$0/"' "$B" {} +
fi
}
`;
