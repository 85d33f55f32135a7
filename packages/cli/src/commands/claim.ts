import {
  type Claim,
  type ClaimGrant,
  type ClaimId,
  OpencodeToolsError,
  type SessionId,
  isShortId,
  parseId,
  shortId,
} from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { text } from '../arguments/values.ts';
import { type Command, type CommandContext, taskParameter } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

const glob = text('glob');

export const claimAdd: Command<ClaimGrant> = {
  name: 'claim add',
  summary: 'say what your session is going to read and write',
  notes: [
    'Globs are relative to the workspace: `*` and `?` stay within a name, `**` crosses directories, `[a-z]` and `{a,b}` choose. What overlaps with the claim of another session is answered by the task’s conflict strategy.',
  ],
  changes: 'task',
  parameters: [],
  options: [
    { name: 'write', value: glob, repeatable: true, summary: 'what it will change' },
    { name: 'read', value: glob, repeatable: true, summary: 'what must not change while it reads' },
  ],
  run: async (context) =>
    context.services.sessions.claim(
      sessionOf(context),
      { read: context.input.list('read') as string[], write: context.input.list('write') as string[] },
      context.call,
    ),
  render: ({ claim, overlaps }, style) =>
    lines(
      `${style.good('claimed')} ${style.strong(shortId(claim.id))} ${describe(claim)}`,
      ...overlaps.map(
        ({ glob: ours, otherGlob, agent }) =>
          `${style.warning('overlaps')} ${oneLine(ours)} with ${oneLine(otherGlob)} of ${oneLine(agent)}`,
      ),
    ),
};

export const claimList: Command<{ readonly claims: readonly Claim[] }> = {
  name: 'claim list',
  summary: 'list what the sessions of a task claim',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ claims: await services.sessions.claims(await task()) }),
  render: ({ claims }, style) => (claims.length === 0 ? style.dim('No claims.') : claimTable(claims, style)),
};

export const claimRelease: Command<{ readonly released: readonly Claim[] }> = {
  name: 'claim release',
  summary: 'give up one claim of your session, or all of them',
  changes: 'task',
  parameters: [],
  options: [{ name: 'claim', value: text('claim'), summary: 'full or short id; all when absent' }],
  async run(context) {
    const { sessions } = context.services;
    const sessionId = sessionOf(context);
    const reference = context.input.get<string>('claim');
    const options = given({
      claimId: reference === undefined ? undefined : await findClaim(context, sessionId, reference),
    });
    return { released: await sessions.releaseClaims(sessionId, options, context.call) };
  },
  render: ({ released }, style) =>
    `${style.good('released')} ${released.length} ${released.length === 1 ? 'claim' : 'claims'}`,
};

async function findClaim({ services }: CommandContext, sessionId: SessionId, reference: string): Promise<ClaimId> {
  if (!isShortId(reference)) return parseId('claim', reference);
  const { taskId } = await services.sessions.get(sessionId);
  const found = (await services.sessions.claims(taskId)).find(({ id }) => shortId(id) === reference);
  if (found !== undefined) return found.id;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `No active claim has the id ${reference}`, {
    remedy: 'List the claims of the task with `opencode-tools claim list`.',
    details: { argument: 'claim' },
  });
}

function claimTable(claims: readonly Claim[], style: Style): string {
  return table(
    claims,
    [
      { title: 'CLAIM', text: ({ id }) => id },
      { title: 'AGENT', text: ({ agent }) => oneLine(agent) },
      { title: 'WRITES', text: ({ write }) => oneLine(write.join(' '), 60) },
      { title: 'READS', text: ({ read }) => oneLine(read.join(' '), 60) },
    ],
    style,
  );
}

function describe({ read, write }: Claim): string {
  const part = (verb: string, globs: readonly string[]): string =>
    globs.length === 0 ? '' : `to ${verb} ${oneLine(globs.join(' '), 200)}`;
  return [part('write', write), part('read', read)].filter((words) => words !== '').join(', ');
}

function sessionOf({ session }: CommandContext): SessionId {
  if (session.sessionId !== undefined) return session.sessionId;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'A claim belongs to a session, and none was given', {
    remedy: 'Attach with `opencode-tools resume-task` and pass --session, or set OPENCODE_TOOLS_SESSION.',
    details: { argument: 'session' },
  });
}
