/**
 * The part of the supervisor that keeps shells: processes that run the commands of several executions one after the other, so that
 * directory, variables and functions stay.
 *
 * - A shell has a supervisor and a directory as a command in the background has, and a mark of its own. It gets commands through
 *   one pipe and says how they ended through another. Both are root's, so that nothing but the shell can write to them; the shell
 *   closes them for what it runs.
 * - Whoever wants a command run asks as for any command. What becomes the command says who it is, stops itself, and is there only
 *   so that the shell can write to the outputs of that lane, and for the mark and the fence. The text of the command and how it
 *   ended travel between supervisors, in files that commands cannot write; the exit code of what stopped itself means nothing.
 * - `ask.X`: the shell that execution X wants, and its command. `sh.X`: the shell that runs X, its process, and since when. `r.X`: how
 *   X ended in its shell, or that there is none.
 * - Ending X ends what the shell started since then, and makes the shell give up what it is at. A shell that does not come back
 *   is ended.
 */
export const shellProgram = String.raw`host() { # variables, directory and argv: a shell
  room && "$FI" -m 0622 "$bg/in" && "$FI" -m 0600 "$bg/to" "$bg/from" || { says "$nonce" "$refusal"; return 0; }
  exec 5<>"$bg/in" 6<>"$bg/to" 7<>"$bg/from"
  "$RM" -f "$bg/to" "$bg/from"
  : >"$bg/shell"
  says "$nonce" ok
  F=$bg
  printf '%s\n' $$ >"$F/keeper"
  read -r began a </proc/uptime
  exec </dev/null >/dev/null 2>&1
  serve & c1=$! c2=
  before
  printf '%s\n' "$mark" >"$L"
  await now "$flags" "$token $mark" "$@"
  "$RM" -f "$F/in"
  kill -9 "$c1"
  report
  release
}

serve() { # hands what lanes ask for to the shell, one at a time, and what it says back
  hn=$execution
  read -r hs <&7
  while IFS= read -r l <&5; do
    [ "$l" = close ] && { printf 'x\n' >&6; continue; }
    num "$l" || continue
    hp=$l
    mark_of "$hp"
    [ "$V" ] || continue
    hx=$((V & 1048575)) a=
    { read -r a <"$Q/ask.$hx"; } 2>/dev/null
    [ "$a" = "$hn" ] || continue
    read -r ht a </proc/uptime
    printf '%s %s %s\n' "$hn" "$hs" "$\{ht%.*}$\{ht#*.}" >"$Q/sh.$hx"
    if [ -e "$D/x.$hx" ] || dead "$hp"; then : >"$Q/sh.$hx"; continue; fi
    read -r hu </proc/sys/kernel/random/uuid
    offspring; hk=$O
    { read -r a; printf '%s %s\n' "$hu" "$hp"; while IFS= read -r l; do printf '%s\n' "$l"; done; printf '.\n'; } <"$Q/ask.$hx" >&6
    : >"$Q/ask.$hx"
    while read -r a hr <&7; do [ "$a" = "$hu" ] && break; done
    offspring
    [ "$O" = "$hk" ] && hl=0 || hl=1
    num "$hr" && printf '%s %s\n' "$hr" "$hl" >"$Q/r.$hx"
    : >"$Q/sh.$hx"
    kill -9 "$hp"
  done
}

offspring() { # sets O: children of the shell and of the init, among which is whatever a command leaves behind
  a= b=
  { read -r a <"/proc/$hs/task/$hs/children"; read -r b </proc/1/task/1/children; } 2>/dev/null
  O="$a/$b"
}

release() { # the shell is gone: whoever waits for it hears so
  set +f
  for hf in "$Q"/sh.* "$Q"/ask.*; do
    hn=
    { read -r hn a <"$hf"; } 2>/dev/null
    [ "$hn" = "$execution" ] || continue
    case $hf in */sh.*) l="gone $s" ;; *) l=none ;; esac
    printf '%s\n' "$l" >"$Q/r.$\{hf##*.}"
    : >"$hf"
    end execution "$\{hf##*.}"
  done
  set -f
}

halt() { # execution: ends what it runs in a shell, and the shell as well unless that comes back
  for hd in "$Q" /tmp/.oct-spool; do
    hi=0
    while read -r hn hs ht <"$hd/sh.$1" && nums "$hn" "$hs" "$ht"; do
      mark_of "$hs"
      [ "$V" ] && [ $((V & 1048575)) = "$hn" ] || break
      [ $hi -lt 15 ] || { end execution "$hn"; break; }
      kill -URG "$hs"
      end shell "$hn" "$hs" "$ht"
      hi=$((hi + 1))
      "$NAP" 0.02
    done
  done 2>/dev/null
}

in_shell() { # what became of a command that was to run in the shell: sets s, left and note
  r= a=
  { read -r r a <"$Q/r.$execution"; } 2>/dev/null
  case $note$r in
    cut*|fenced*) ;;
    *gone) s=$a note=gone ;;
    *none) s=0 note=none ;;
    *[0-9]) s=$r left=$a ;;
    *) halt "$execution"; [ -p "$Q/bg.$1/in" ] && s=s9 || { s=0 note=none; } ;;
  esac
}`;

/**
 * What becomes a command that runs in a shell: it says who it is and stops itself, until it is ended because the command has
 * ended. Its outputs are known by numbers that writing this does not take for itself. Begins a line, so that half a line of somebody else is never joined to its own. Arguments: the shell, and the command.
 */
export const shellClient = `exec 8>&1 9>&2
for d in /run/oct /tmp/.oct-spool; do
  [ -p "$d/bg.$1/in" ] && { printf '\\n%s\\n' $$ >"$d/bg.$1/in"; } 2>/dev/null && while :; do kill -STOP $$; done
done
exit 3`;

/** Name of the environment variable that carries the program of a shell, which removes it before anything else. */
const programVariable = 'OCT_SHELL';

/**
 * What a shell is: bash where the image has it, else \`sh\`. It reads commands from one descriptor, says how they ended on
 * another, and runs each with its own outputs and an empty input. A signal that no program is sent makes it return from what it
 * runs. Everything happens in functions, so that a late signal returns from nothing else; that a command uses \`break\` or
 * \`continue\` outside of any loop does not end it either.
 */
const loop = String.raw`__oct_r=0 __oct_u=
__oct_q() { return $__oct_r; }
__oct_run() { __oct_q; command eval "$__oct_t"; }
__oct_take() {
  [ ! "$__oct_u" ] || printf '%s %s\n' "$__oct_u" "$__oct_r" >&7
  __oct_u=
  IFS=' ' read -r __oct_u __oct_p <&6 || IFS=' ' read -r __oct_u __oct_p <&6 || IFS=' ' read -r __oct_u __oct_p <&6 || exit 0
  [ "$__oct_u" != x ] || exit 0
  __oct_t= __oct_c= __oct_k=0
  while IFS= read -r __oct_l; do
    case $__oct_l in
      =*) __oct_t=$\{__oct_l#=} __oct_c= __oct_k=0 ;;
      +*) __oct_c="$__oct_c
$\{__oct_l#+}" __oct_k=$((__oct_k + 1))
        [ $__oct_k -lt 100 ] || { __oct_t=$__oct_t$__oct_c __oct_c= __oct_k=0; } ;;
      *) break ;;
    esac
  done <&6
  __oct_t=$__oct_t$__oct_c
}
trap '[ ! "$__oct_u" ] || return 130' URG
printf '%s\n' $$ >&7
while :; do
  while :; do
    __oct_take
    __oct_run </dev/null >"/proc/$__oct_p/fd/8" 2>"/proc/$__oct_p/fd/9" 6<&- 7>&-
    __oct_r=$?
  done
done`.replaceAll('$\\{', '${');

/** The process to start for a shell, and the variable that carries its program. */
export const shellProcess = {
  argv: [
    '/bin/sh',
    '-c',
    '[ ! -x /bin/bash ] || exec /bin/bash -c "$1" bash; exec /bin/sh -c "$1" sh',
    'oct-shell',
    `l=$${programVariable}; unset ${programVariable}; eval "$l"`,
  ],
  env: { [programVariable]: loop },
};
