import type { Task } from '../domain/task.ts';
import { shortId } from '../domain/ids.ts';
import type { BundleSink } from '../ports/work-port.ts';
import type { Kernel } from './kernel.ts';
import { bundleEnds, bundleRefusal } from './bundle-refusal.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './call.ts';
import type { LeasedWork } from './with-lease.ts';

/** Filters that the task configured run in it, and may wait for ever. */
const timeoutMs = 10 * 60_000;
const tellEveryMs = 10_000;
const mostErrorBytes = 4_096;
/** Begins a line of its standard error by which the script says what it does next. */
const stepMark = 'opencode-tools at: ';
/** Nothing else is taken for one: filters of the task write to the same place. */
const steps = new RegExp(`${stepMark}(git add --all|git commit-tree|git bundle create)\\n`, 'g');

/** In the task's repository: the commit of its uncommitted work that was last merged into a branch with other commits. */
export const lastWork = 'refs/opencode-tools/work';

/**
 * Puts uncommitted work into a commit by an index of its own, so that the task's index, branch and files stay as they are, and gives
 * what the base lacks as a bundle. What was brought before becomes a parent, so that the branch which has it goes forward, and a branch
 * that it was merged into has it; refs keep it for the next time. Arguments: ref, message, base, and `at`, or nothing.
 */
const script = `command -v git >/dev/null 2>&1 || exit ${bundleEnds.noGit}
at() { printf '${stepMark}%s\\n' "$1" >&2; }
g() { git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 -c commit.gpgSign=false "$@"; }
dir=$(g rev-parse --absolute-git-dir 2>/dev/null) || exit ${bundleEnds.noRepository}
out=$(g rev-parse --verify --quiet "$1^{commit}") || exit ${bundleEnds.noRef}
if [ "$1" = HEAD ]; then
  [ -z "$(g ls-files --unmerged)" ] || exit ${bundleEnds.unmerged}
  rm -f "$dir"/opencode-tools-index.*
  index=$dir/opencode-tools-index.$$
  trap 'rm -f "$index" "$index.lock"' EXIT
  [ ! -e "$dir/index" ] || cp "$dir/index" "$index" || exit 1
  GIT_INDEX_FILE=$index
  export GIT_INDEX_FILE
  at 'git add --all'
  g add --all >&2 || exit 1
  tree=$(g write-tree) || exit 1
else
  tree=$(g rev-parse "$out^{tree}") || exit 1
fi
at 'git commit-tree'
at=$4
if [ "$at" = ${lastWork} ]; then
  at=$(g rev-parse --verify --quiet "$at^{commit}") && [ "$1" = HEAD ] && g merge-base --is-ancestor "$out" "$at" || at=''
fi
below=$out parents="-p $out"
if [ -n "$at" ] && g cat-file -e "$at^{commit}" 2>/dev/null && ! g merge-base --is-ancestor "$at" "$out"; then
  if g merge-base --is-ancestor "$out" "$at"; then below=$at parents="-p $at"; else below='' parents="$parents -p $at"; fi
fi
if [ -n "$below" ] && [ "$tree" = "$(g rev-parse "$below^{tree}")" ]; then
  out=$below
else
  out=$(g commit-tree "$tree" $parents -m "$2") || exit 1
  [ "$4" != ${lastWork} ] || [ "$1" != HEAD ] || g update-ref ${lastWork} "$out" || exit 1
fi
set -- "$3"
g cat-file -e "$1^{commit}" 2>/dev/null && set -- "^$1" || set --
[ -n "$(g rev-list -n 1 "$out" "$@")" ] || exit ${bundleEnds.nothing}
g update-ref refs/opencode-tools/out "$out" || exit 1
at 'git bundle create'
g bundle create -q - refs/opencode-tools/out "$@"`;

export interface Bundling {
  /** What to bring out; `HEAD` also brings uncommitted work. */
  readonly ref: string;
  /** Commit that the workspace was seeded with. */
  readonly base: string;
  /** Where the branch is that the work is to come to, null for none yet; `lastWork` where it is merged into one that has other commits. */
  readonly at: string | null;
  readonly sink: BundleSink;
}

/**
 * Has the task's sandbox bundle its commits. What comes is a file of bytes: nothing of it is believed before it is checked.
 *
 * @returns false when there is nothing to bring
 */
export async function bundleCommits(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  { ref, base, at, sink }: Bundling,
  leased: LeasedWork,
  call: Call,
): Promise<boolean> {
  const handle = await keeper.ensureRunning(task, leased, call);
  const agent = leased.session.agent.replaceAll(/[<>\n\0]/g, ' ').trim() || 'agent';
  const identity = ['AUTHOR', 'COMMITTER'].flatMap((role) => [
    [`GIT_${role}_NAME`, agent],
    [`GIT_${role}_EMAIL`, 'agent@opencode-tools.invalid'],
  ]);
  const message = `Work of task ${shortId(task.id)}`;
  let said = '';
  let step = 'git rev-parse';
  const startedMs = performance.now();
  call.onProgress?.('bundling commits');
  const telling = setInterval(
    () =>
      call.onProgress?.(`bundling commits: ${step}, ${Math.round((performance.now() - startedMs) / 1_000)} s so far`),
    tellEveryMs,
  );
  try {
    const ended = await handle.exec({
      executionId: kernel.deps.ids.next('execution'),
      token: leased.proof.token,
      command: { kind: 'argv', argv: ['sh', '-c', script, 'bundle', ref, message, base, at ?? ''] },
      cwd: task.workspace.path,
      env: { ...Object.fromEntries(identity), LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' },
      timeoutMs,
      signal: leased.signal,
      onStdout: (chunk) => sink.write(chunk),
      onStderr: (chunk) => {
        const text = Buffer.from(chunk).toString();
        step = stepIn(text) ?? step;
        if (said.length < mostErrorBytes) said += text;
      },
    });
    if (ended.exitCode === 0) return true;
    if (ended.exitCode === bundleEnds.nothing) return false;
    throw bundleRefusal({ ...ended, step, limitMs: timeoutMs }, ref, said.replace(steps, ''));
  } finally {
    clearInterval(telling);
    await sink.close();
  }
}

function stepIn(text: string): string | undefined {
  return [...text.matchAll(steps)].at(-1)?.[1];
}
