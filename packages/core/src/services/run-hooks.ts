import type { JsonObject } from '../domain/json.ts';
import type { LeaseProof } from '../domain/session.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { StreamId } from '../ledger/ledger-record.ts';
import type { HookContext, HookOutcome } from '../ports/hook-port.ts';
import { type Kernel, draft } from './kernel.ts';
import type { Call } from './services.ts';

/** Where hooks run and what is said of them. */
interface HookSite {
  readonly stream: StreamId;
  readonly call: Call;
  readonly proof?: LeaseProof | null;
  /** True records what hooks did by itself, for points whose change has no record of its own to carry it. */
  readonly recordApart?: boolean;
}

/**
 * Runs the hooks of a point before a change. A veto is recorded and thrown.
 *
 * @param at `stream` is where a veto is recorded: the task's stream, or `home` while the task does not exist yet
 * @returns a member for the change's own record, so that what hooks did is part of it
 * @throws OpencodeToolsError `OCT_HOOK_REJECTED`
 */
export async function runHooks(kernel: Kernel, context: HookContext, at: HookSite): Promise<JsonObject> {
  if (!kernel.deps.hooks.listens(context.point)) return {};
  const outcomes = await kernel.deps.hooks.run(context);
  const refused = outcomes.find((outcome) => outcome.result !== 'passed');
  if (refused === undefined) return passed(kernel, context, outcomes, at);
  await kernel.commit({
    records: [
      draft({
        stream: at.stream,
        type: 'hook.rejected',
        call: at.call,
        proof: at.proof ?? null,
        detail: { taskId: context.task.id, ...hookJson(refused) },
      }),
    ],
  });
  throw new OpencodeToolsError(
    'OCT_HOOK_REJECTED',
    `Hook ${refused.hook} refused ${context.point}: ${refused.message}`,
    {
      details: { hook: refused.hook, point: refused.point },
    },
  );
}

async function passed(
  kernel: Kernel,
  context: HookContext,
  outcomes: readonly HookOutcome[],
  at: HookSite,
): Promise<JsonObject> {
  if (outcomes.length === 0) return {};
  const detail = { hooks: outcomes.map(hookJson) };
  if (at.recordApart === true) {
    const { stream, call, proof = null } = at;
    const record = draft({ stream, type: 'hook.passed', call, proof, detail: { ...detail, point: context.point } });
    await kernel.commit({ records: [record] });
  }
  return detail;
}

function hookJson(outcome: HookOutcome): JsonObject {
  const { hook, point, result, message, durationMs } = outcome;
  return { hook, point, result, message, durationMs: Math.round(durationMs) };
}
