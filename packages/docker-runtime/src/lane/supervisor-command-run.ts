/**
 * The part of the supervisor that starts what becomes a command, waits for its end, and says how it ended. That no process can be
 * made is the end of that command only.
 */
export const commandProgram = String.raw`left_behind() { # sets left: 1 same session, 2 handed to the init
  left=0 k1= c=
  { IFS= read -r k1 </proc/1/task/1/children; read -r c <"$P1"; } 2>/dev/null
  if [ "$SS" ] && [ "$c" ] && kill -0 "-$c" 2>/dev/null; then left=1
  elif [ "$k1" != "$k0" ]; then
    for p in $k1; do case " $k0 " in *" $p "*) ;; *) mark_of "$p"; [ "$V" = "$mark" ] && left=2 ;; esac; done
  fi
}

before() { # takes note of how things stand before a command
  oom; O0=$O k0=
  { IFS= read -r k0 </proc/1/task/1/children; } 2>/dev/null
}

field() { # a text as requests have it: the first of its lines begins with an equals sign, the others with a plus
  w=$1
  printf =
  while case $w in *"
"*) ;; *) false ;; esac; do printf '%s\n+' "$\{w%%
*}"; w=$\{w#*
}; done
  printf '%s\n' "$w"
}

become() { # how, flags, and for "now" what to run: what is the command in the end, and until then waits for it
  { (
    exec 2>&3 3>&- 8>&-
    case $1$2 in now*i*) exec <&4 ;; now*) exec </dev/null ;; esac
    case $1 in input) ;; *) exec 4<&- ;; esac
    case $1$2 in nows) exec 5<&- ;; esac
    read -r me r </proc/self/stat && printf '%s\n' "$me" >"$P1"
    [ $HOW = plain ] || ulimit -m $((READY_BASE + I)) || exit 125
    h=$1
    shift 2
    case $h in now) # variables may be secret: they go through a file that only root can read and nobody can find
      r=$1
      shift
      umask 077
      while case $1 in /*) false ;; esac; do field "$1"; shift; done >"$F/variables"
      umask 022
      exec 9<"$F/variables"
      "$RM" -f "$F/variables"
      set -- "$r" "$@" ;;
    esac
    OCT_READY=$READY_PROGRAM
    export OCT_READY
    as_agent "$SH" -c 'l=$OCT_READY; unset OCT_READY; eval "$l"' oct "$h" "$@"
  ); s=$?; } 3>&2 2>"$E"
}

await() { # the same; that no process can be made ends only this, not the supervisor. Sets s, and P1 is empty if there was none
  s=125
  : >"$P1"
  command eval 'become "$@"'
  [ -s "$P1" ] && return 0
  exec 2>&8
  return 1
}

report() { # what became of the command that ended
  execution=$((mark & 1048575))
  [ "$s" -gt 128 ] && [ -s "$E" ] && s="s$((s - 128))"
  note=- left=0
  [ "$s" = 0 ] || { oom; [ "$O" = "$O0" ] || note=oom; }
  if [ -e "$D/x.$execution" ]; then note=cut; elif ! allowed "$token"; then note=fenced; fi
  case $note in
    cut|fenced) end execution "$execution" || left=3; [ $note = cut ] && "$RM" -f "$D/x.$execution" ;;
    *) case $flags in s[0-9]*) ;; *) left_behind ;; esac
      [ $left = 0 ] || { printf '%s\n' "$mark" >>"$D/left"; } 2>/dev/null ;;
  esac
  : >"$P1"
  printf 'done\n' >"$L"
  [ "$F" ] && kept
  case $flags in s[0-9]*) in_shell "$\{flags#s}" ;; esac
  says "$nonce" "$s $left $note"
  case $flags in s[0-9]*) "$RM" -f "$Q/ask.$execution" "$Q/sh.$execution" "$Q/r.$execution" ;; esac
}`;
