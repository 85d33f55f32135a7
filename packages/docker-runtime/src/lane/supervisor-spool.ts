/**
 * The part of the supervisor that keeps commands in the background.
 *
 * - Each has a supervisor process and a directory of its own, `bg.<execution>`, that only root can read. Both outputs are
 *   copied there in pieces of at most a mebibyte, each named by the offset that it begins at.
 * - Whoever asks for what comes after an offset says by it that everything before is safe: pieces before it are removed.
 *   While a mebibyte lies there that nobody asks for, the copying waits, and the command waits at its full pipe.
 * - The result is written when all output is in the spool; a supervisor that is gone without one is `lost`.
 * - Standard input is a pipe with a name, which the command's user may write to. A process that does nothing holds it open
 *   until it is told that the input has ended.
 */
export const spoolProgram = String.raw`copy() { # o | e: standard input into pieces of the spool, named by where they begin; waits while nobody takes them away
  umask 077
  at=0 pieces=
  while "$DD" bs=32768 count=32 of="$F/$1.$at" 2>/dev/null && [ -s "$F/$1.$at" ]; do
    n=$("$WC" -c <"$F/$1.$at")
    n=$((n))
    pieces="$pieces $1.$at:$n" at=$((at + n))
    while :; do
      held=0 rest=
      for e in $pieces; do [ -e "$F/$\{e%:*}" ] && held=$((held + $\{e#*:})) rest="$rest $e"; done
      pieces=$rest
      [ $held -lt 1048576 ] && break
      "$NAP" 0.05
    done
  done
}

timer() { # seconds
  "$NAP" "$1" & n=$!
  printf '%s\n' "$n" >"$F/timer"
  wait "$n" && { : >"$F/time"; stop_execution "$execution"; }
}

room() { # makes the directory bg of an execution, or says in refusal why not
  execution=$((mark & 1048575)) bg=$Q/bg.$((mark & 1048575)) c=0 refusal=no-tools
  find_tool mkfifo && FI=$T && find_tool mkdir || return 1
  set +f
  for f in "$Q"/bg.*; do [ -d "$f" ] && c=$((c + 1)); done
  set -f
  refusal=full
  [ $c -lt 16 ] || return 1
  refusal=lost
  "$T" -m 0711 "$bg"
}

keep() { # variables, directory and argv: a command whose outputs go to the spool, whoever listens
  find_tool dd && DD=$T && find_tool wc && WC=$T || { says "$nonce" no-tools; return 0; }
  room && "$FI" -m 0622 "$bg/op" "$bg/ep" "$bg/in" || { says "$nonce" "$refusal"; return 0; }
  says "$nonce" ok
  F=$bg
  printf '%s\n' $$ >"$F/keeper"
  read -r began a </proc/uptime
  exec </dev/null
  copy o <"$F/op" >/dev/null 2>&1 & c1=$!
  copy e <"$F/ep" >/dev/null 2>&1 & c2=$!
  exec >"$F/op" 2>"$F/ep" 
  timer "$LIMIT" >/dev/null 2>&1 & T1=$!
  case $flags in *i*)
    exec 5<>"$F/in" 4<"$F/in" 6>"$F/in" 5>&-
    "$NAP" 2147483647 >&6 2>/dev/null 4<&- 6>&- & printf '%s\n' $! >"$F/holder"
    exec 6>&- ;;
  esac
  "$RM" -f "$F/op" "$F/ep"
  before
  printf '%s\n' "$mark" >"$L"
  await now "$flags" "$token $mark" "$@"
  report
}

kept() { # the command has ended: everything that it put out is in the spool before its result is
  [ -e "$F/time" ] && note=time
  exec >/dev/null 2>&1 4<&-
  "$RM" -f "$F/in"
  { read -r a <"$F/timer"; kill "$a"; read -r a <"$F/holder"; kill "$a"; } 2>/dev/null
  if [ $left = 0 ]; then wait $c1 $c2; else "$NAP" 0.2; fi
}

look() { # execution
  f=$Q/bg.$1
  [ -d "$f" ] || { says "$nonce" none; return 0; }
  a= ; { IFS= read -r a <"$f/result"; } 2>/dev/null
  [ "$a" ] && { says "$nonce" "ended $a"; return 0; }
  { read -r a <"$f/keeper"; } 2>/dev/null
  [ "$a" ] && [ ! -d "/proc/$a" ] && { says "$nonce" lost; return 0; }
  says "$nonce" running
}

pull() { # execution, stream, offset: what is spooled from there on, of two pieces at most; what is before it may go
  f=$Q/bg.$1 x=o p= n=
  [ "$2" = 2 ] && x=e
  set +f
  for e in "$f/$x".*; do a=$\{e##*.}; num "$a" && [ "$a" -le "$3" ] && { [ -z "$p" ] || [ "$a" -gt "$p" ]; } && p=$a; done
  for e in "$f/$x".*; do
    a=$\{e##*.}; [ "$p" ] && num "$a" || continue
    [ "$a" -lt "$p" ] && "$RM" -f "$e"
    [ "$a" -gt "$p" ] && { [ -z "$n" ] || [ "$a" -lt "$n" ]; } && n=$a
  done
  set -f
  [ "$p" ] || { says "$nonce" none; return 0; }
  find_tool tail && "$T" -c "+$(($3 - p + 1))" "$f/$x.$p" 2>/dev/null
  [ "$n" ] && "$T" -c +1 "$f/$x.$n" 2>/dev/null
  says "$nonce" "ok $3"
}

signal() { # execution, number: to the process group of its command
  C=0
  set +f
  [ "$HOW" = plain ] && set -- "$1" "$2" /tmp/.oct-*/lane.* || set -- "$1" "$2" "$D"/lane.*
  set -f
  e=$1 n=$2
  shift 2
  for f in "$@"; do
    a= b=; read -r a <"$f"; read -r b <"$\{f%/*}/pid.$\{f##*.}"
    num "$a" && num "$b" && [ $((a & 1048575)) = "$e" ] || continue
    { kill "-$n" "-$b" || kill "-$n" "$b"; } && C=$((C + 1))
  done 2>/dev/null
  says "$nonce" "ok $C"
}

eof() { # execution
  [ -e "$Q/bg.$1/shell" ] && { printf '\nclose\n' >"$Q/bg.$1/in"; says "$nonce" "ok 0"; return 0; }
  { read -r a <"$Q/bg.$1/holder" && kill "$a" && "$RM" -f "$Q/bg.$1/holder"; } 2>/dev/null
  says "$nonce" "ok 0"
}`;
