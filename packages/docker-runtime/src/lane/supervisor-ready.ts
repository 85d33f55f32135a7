/** Says whether the fence lets a token pass. Both the supervisor and what becomes the command ask. */
export const allowedFunction = String.raw`allowed() { # token
  [ -r "$D/fence" ] || return 1
  ok= bad=
  while IFS=" " read -r a b; do
    ok=1
    [ "$1" -ge "$a" ] || bad=1
    case " $b " in *" $1 "*) bad=1 ;; esac
  done <"$D/fence"
  [ "$ok" ] && [ -z "$bad" ]
}`;

/**
 * What becomes a command: already under the sandbox's user and in a session of its own, it takes the command's mark, compares
 * the fence, sets variables and directory, and then is the command. Variables are exported last, when no name is used any more.
 *
 * Arguments: `wait` for a request whose first line is still to come, `next` for one whose first line was read, `input` for one whose
 * command gets the lane's input, or `now` for one that follows in the arguments, its variables in lines on descriptor 9. What ends
 * before its time is no command.
 */
export const readyProgram = String.raw`D=/run/oct
@ALLOWED@
how=$1
shift
if [ "$how" = now ]; then h=$1; shift
else
  if [ "$how" = wait ]; then IFS= read -r h && [ "$h" = r ] || exit 125; fi
  IFS= read -r h || exit 125
  set --; f= g= c= k=0 whole=
  while IFS= read -r l; do
    case $l in
      =*) [ "$g" ] && set -- "$@" "$f$c"; f=$\{l#=} g=1 c= k=0 ;;
      +*) c="$c
$\{l#+}" k=$((k + 1))
        [ $k -lt 100 ] || { f=$f$c c= k=0; } ;;
      .) [ "$g" ] && set -- "$@" "$f$c"; whole=1; break ;;
      *) break ;;
    esac
  done
  [ "$whole" ] || exit 125
fi
token=$\{h%% *} mark=$\{h##* }
case $how in wait|next) exec </dev/null ;; input) exec <&4 4<&- ;; esac
ulimit -m "$mark" && allowed "$token" && [ ! -e "$D/x.$((mark & 1048575))" ] || exit 125
while case $1 in /*) false ;; esac; do export "$1" || exit 125; shift; done
if [ "$how" = now ]; then
  OCT_V=
  while IFS= read -r OCT_L <&9; do
    case $OCT_L in
      =*) [ ! "$OCT_V" ] || export "$OCT_V" || exit 125; OCT_V=$\{OCT_L#=} ;;
      *) OCT_V="$OCT_V
$\{OCT_L#+}" ;;
    esac
  done
  [ ! "$OCT_V" ] || export "$OCT_V" || exit 125
  exec 9<&-
fi
cd -- "$1" || exit 126
shift
exec "$@"`
  .replace('@ALLOWED@', () => allowedFunction)
  .replaceAll('$\\{', '${');
