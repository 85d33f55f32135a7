import { commandProgram } from './supervisor-command-run.ts';
import { marksProgram } from './supervisor-marks.ts';
import { readerProgram } from './supervisor-reader.ts';
import { allowedFunction, readyProgram } from './supervisor-ready.ts';
import { shellProgram } from './supervisor-shell.ts';
import { spoolProgram } from './supervisor-spool.ts';

/**
 * The program at the far end of a lane, for any POSIX `sh` (dash, busybox, bash tried). It runs as root without any
 * capability but changing user and sending signals, reads requests line by line, and starts each command as the
 * sandbox's user.
 *
 * - Every process of a command carries a mark: a hard limit on resident set size, which kernels do not enforce, set to
 *   an impossibly large number made of token (above 20 bits) and execution (the lower 20 bits). It is inherited, survives `setsid`, `exec` and a cleared
 *   environment, can be lowered but never raised, and can be read of any process without special rights.
 * - A command takes its mark first and compares the fence second. Whoever fences writes the fence first and lists marks
 *   second, so nothing can slip between the two.
 * - The fence file is only ever appended to; all its lines hold, so it cannot be lowered, not even by a race.
 * - A result is the nonce of the request on both streams. Commands cannot read it: they run under another user.
 * - Engines give the tmpfs at /tmp the mode that the image's own has; where that is not for everybody, it becomes so.
 * - A request that is cut off by the death of its sender is never carried out, and its running command is ended.
 * - Death by a signal is told from an exit code above 128 by the shell's own message about it, which dash and busybox
 *   write for all signals but SIGINT and SIGPIPE, and bash for none: there it reads as 128 and the signal's number.
 *
 * A command in the background has a supervisor of its own, which nobody needs to listen to: its outputs go to a spool, a
 * directory that only root can read, in pieces that whoever has taken them lets go; while nobody does, the command waits.
 *
 * Arguments: uid, gid, and `first` (main process of the container: idles when its stream ends), `lane`, or `spool` (one
 * command in the background, or one shell) with its time limit in seconds.
 */
const program = String.raw`set -f
umask 022
U=$1 G=$2 K=$3 LIMIT=$4 D=/run/oct B=4503599627370496 SH=/bin/sh HOW=none DIRECT= N= ME=
find_tool() { T=; for d in /usr/bin /bin /usr/sbin /sbin; do [ -x "$d/$1" ] && { T=$d/$1; return 0; }; done; return 1; }
while read -r a b c; do [ "$a" = Uid: ] && { ME=$b; break; }; done </proc/self/status
find_tool setsid && SS=$T || SS=
find_tool rm && RM=$T || RM=:
find_tool sleep && NAP=$T || NAP=:
set --
for f in 1 2; do [ -p /proc/$$/fd/$f ] && set -- "$@" /proc/$$/fd/$f; done
[ "$ME" = 0 ] && [ $# -gt 0 ] && find_tool chmod && "$T" 0622 "$@"
[ "$ME" = 0 ] && [ "$K" = first ] && [ ! -k /tmp ] && find_tool chmod && "$T" 1777 /tmp
Q=$D
if [ "$ME" != 0 ]; then HOW=plain DIRECT=1 S=/tmp/.oct-$$ Q=/tmp/.oct-spool; find_tool mkdir && { "$T" -m 0700 "$S"; "$T" -p -m 0700 "$Q"; } 2>/dev/null
else
  S=$D
  if find_tool setpriv && "$T" --reuid="$U" --regid="$G" --clear-groups --inh-caps=-all "$SH" -c : </dev/null >/dev/null 2>&1; then HOW=setpriv SP=$T DIRECT=1
  elif find_tool su && [ -r /etc/passwd ]; then
    while IFS=: read -r a b c d; do [ "$c" = "$U" ] && { N=$a; break; }; done </etc/passwd
    [ "$N" ] && "$T" -p -s "$SH" -c "[ \"\$PPID\" = $$ ] || exit 99" -- "$N" </dev/null >/dev/null 2>&1
    case $? in 0) HOW=su SP=$T DIRECT=1 ;; 99) HOW=su SP=$T ;; esac
  fi
  [ "$K" = first ] && [ ! -s /etc/hosts ] && { printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n' >/etc/hosts; } 2>/dev/null
fi
OF=; for f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do [ -r $f ] && OF=$f; done
I=$(($$ & 1048575)) F= READY=
L=$S/lane.$I E=$S/err.$I R=$S/reader.$I P1=$S/pid.$I A=$S/asked.$I Z=$S/over.$I
READY_PROGRAM='@READY@'
READY_BASE=$((B + (4294967295 << 20)))

oom() { O=0; [ "$OF" ] && while read -r a b; do [ "$a" = oom_kill ] && O=$b; done <"$OF"; return 0; }
says() {
  said=1
  [ "$F" ] && { read -r a b </proc/uptime; printf '%s %s %s\n' "$2" "$began" "$a" >"$F/result"; return 0; }
  printf '\036%s %s\n' "$1" "$2"; printf '\036%s %s\n' "$1" "$2" >&2
}
hex() { case $1 in *[!0-9a-f]*|'') return 1 ;; esac; [ $\{#1} -eq 32 ]; }
num() { case $1 in *[!0-9]*|'') return 1 ;; esac; }
nums() { for a in "$@"; do num "$a" || return 1; done; }

as_agent() {
  case $HOW in
    setpriv) exec "$SP" --reuid="$U" --regid="$G" --clear-groups --inh-caps=-all $SS "$@" ;;
    su) exec "$SP" -p -s "$SH" -c "exec $SS \"\$@\"" -- "$N" oct "$@" ;;
    plain) exec $SS "$@" ;;
    *) exit 125 ;;
  esac
}

@ALLOWED@

@MARKS@

running() { # an execution, on some lane
  set +f
  for f in "$D"/lane.*; do a=; read -r a b <"$f"; num "$a" && [ $((a & 1048575)) = "$1" ] && { set -f; return 0; }; done 2>/dev/null
  set -f
  return 1
}

@COMMAND@

run() { # nonce token mark flags, then variables, directory and argv: a command for the background
  hex "$1" && nums "$2" "$3" || return 1
  token=$2 mark=$3 flags=$4
  shift 4
  allowed "$token" || { says "$nonce" refused; return 0; }
  [ "$HOW" != none ] || { says "$nonce" no-user; return 0; }
  case $flags in s*) host "$@" ;; *) keep "$@" ;; esac
}

@SPOOL@

@SHELL@

fence() { # min and revoked tokens
  low= new=" $* "
  [ -e "$D/fence" ] && while read -r a b; do
    [ "$1" -ge "$a" ] || low=1
    for a in $b; do [ "$a" -lt "$1" ] && continue; case $new in *" $a "*) ;; *) low=1 ;; esac; done
  done <"$D/fence"
  [ "$low" ] && { says "$nonce" lower; return 0; }
  printf '%s\n' "$*" >>"$D/fence"
  end fence && says "$nonce" "ok $C" || says "$nonce" "left $C"
}

all() { # signal: 9 ends, 15 asks, 0 counts
  if [ "$1" = 9 ]; then end all && says "$nonce" "ok $C" || says "$nonce" "left $C"; return 0; fi
  scan; C=0
  for e in $P; do p=$\{e%%:*}; [ "$\{e#*:}" != 0 ] && ! dead "$p" || continue; C=$((C + 1)); [ "$1" = 15 ] && kill -15 "$p" 2>/dev/null; done
  says "$nonce" "ok $C"
}

leave() {
  [ "$said" ] || says "$nonce" lost
  { read -r a <"$R"; kill "$a"; } 2>/dev/null
  "$RM" -f "$L" "$E" "$R" "$P1" "$A" "$Z"
}

drain() { while IFS= read -r l; do [ "$l" = '~' ] && return 0; done; return 1; }

carry_out() { # with the first line of what was asked if nothing is ready; tells apart what was ended before it began
  case $flags in
    i) drain && await input i ;;
    *) [ ! "$1" ] || await next - ;;
  esac
  r=
  if [ ! -s "$P1" ]; then r=lost
  elif [ "$flags" != i ]; then
    IFS= read -r l || return 1
    [ "$l" = '~' ] || r=again
  fi
  if [ "$r" ]; then
    [ "$flags" = i ] || drain || return 1
    printf 'done\n' >"$L"
    says "$nonce" "$r"
  else report
  fi
  [ "$flags" != i ]
}

# A lane that has run a command keeps a process ready for the next one: it becomes the command, so that no program needs to be
# started first. Reader and runner share no variables: what was asked is in a file that only root can read, since the process that
# is ready could be made to show what it reads.
runner() {
  said=1
  exec 8>&2
  trap leave EXIT
  while [ ! -e "$Z" ]; do
    first=
    [ "$READY" ] && await wait - || IFS= read -r first || break
    { IFS= read -r l && read -r O0 && IFS= read -r k0; } <"$A" || continue
    : >"$A"
    set -- $l
    verb=$1 nonce=$2
    said=
    shift 2
    case $verb in
      run) token=$1 mark=$2 flags=$3
        carry_out "$first" || break
        READY=$DIRECT
        continue ;;
    esac
    drain || break
    case $verb in
      hello) says "$nonce" "ok $HOW" ;;
      init) [ -e "$D/fence" ] || printf '%s\n' "$*" >>"$D/fence"; READY=$DIRECT; says "$nonce" "ok 0 $HOW" ;;
      fence) fence "$@" ;;
      cut) stop_execution "$1" && r=ok || r=left
        running "$1" || "$RM" -f "$D/x.$1"
        says "$nonce" "$r $C" ;;
      all) all "$1" ;;
      admit) if allowed "$1"; then { printf '%s\n' "$2" >>"$D/left"; } 2>/dev/null; says "$nonce" "ok 0"; else says "$nonce" "lower 0"; fi ;;
      look|pull|signal|eof) "$verb" "$@" ;;
      forget) "$RM" -rf "$Q/bg.$1"; says "$nonce" "ok 0" ;;
      *) says "$nonce" "$verb" ;;
    esac
  done
}

@READER@

frame() { # reads the rest of a request; what is cut off is not carried out
  H=$\{1#run }; set --; f= h= c= k=0
  while IFS= read -r l; do
    case $l in
      =*) [ "$h" ] && set -- "$@" "$f$c"; f=$\{l#=} h=1 c= k=0 ;;
      +*) c="$c
$\{l#+}" k=$((k + 1))
        [ $k -lt 100 ] || { f=$f$c c= k=0; } ;;
      ".$nonce") [ "$h" ] && set -- "$@" "$f$c"; run $H "$@"; return $? ;;
      *) return 1 ;;
    esac
  done
  return 1
}

if [ "$K" = spool ]; then
  IFS= read -r l && verb=$\{l%% *} nonce=$\{l#run } && nonce=$\{nonce%% *} && [ "$verb" = run ] && hex "$nonce" && frame "$l"
  "$RM" -f "$L" "$E" "$P1"
  [ "$HOW" = plain ] && "$RM" -rf "$S"
  exit 0
fi
umask 077
: >"$A"
umask 022
exec 4<&0
reader | runner
exec 4<&-
[ "$HOW" = plain ] && "$RM" -rf "$S"
[ "$K" = first ] && exec "$NAP" 2147483647 </dev/null >/dev/null 2>&1
exit 0
`;

export const supervisor = program
  .replace('@COMMAND@', () => commandProgram)
  .replace('@READER@', () => readerProgram)
  .replace('@ALLOWED@', () => allowedFunction)
  .replace('@READY@', () => readyProgram)
  .replace('@MARKS@', () => marksProgram)
  .replace('@SPOOL@', () => spoolProgram)
  .replace('@SHELL@', () => shellProgram)
  .replaceAll('$\\{', '${');
