import { constants } from 'node:fs';
import { lstat, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { HookRejection } from '../hook-rejection.ts';
import type { Hook } from '../hook.ts';

const fileName = 'Plan.md';
const exclusive = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Writes `Plan.md` with title, description and empty sections into a new workspace that has none. Never overwrites. */
export function planFileCreator(): Hook {
  return { name: 'plan-file-creator', points: ['workspace:seeding'], order: 20, run: createPlanFile };
}

const createPlanFile: Hook['run'] = async ({ directory, task }) => {
  if (directory === undefined) return 'skipped: no directory to seed';
  if ((await lstat(directory)).isSymbolicLink()) {
    throw new HookRejection(`The workspace ${directory} is a symbolic link.`, 'Name the directory it leads to.');
  }
  const existing = (await readdir(directory)).find((name) => name.toLowerCase() === fileName.toLowerCase());
  if (existing !== undefined) return `kept ${existing} as it is`;
  return (await writeNew(join(directory, fileName), planText(task)))
    ? `wrote ${fileName}`
    : `kept ${fileName} as it is`;
};

async function writeNew(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: exclusive, mode: 0o644 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function planText({ id, title, description }: Task): string {
  const about = visible(description).trim() || 'What should be true when this task is done?';
  const heading = visible(title).replace(/\s+/g, ' ').trim();
  const parts = [
    `# ${heading}`,
    `Task \`${id}\``,
    '## Goal',
    about,
    '## Steps',
    '- [ ]',
    '## Open questions',
    '## Done when',
    '- [ ]',
  ];
  return `${parts.join('\n\n')}\n`;
}

function visible(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
}
