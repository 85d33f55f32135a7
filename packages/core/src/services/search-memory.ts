import type { TaskId } from '../domain/ids.ts';
import { type MemoryKind, memoryKinds } from '../domain/journal.ts';
import { excerptWith, searchWords } from '../domain/search-text.ts';
import type { Page, PageRequest, TaskStore } from '../ports/task-store.ts';
import type { FoundMemory, MemoryHit, MemoryQuery } from './journal-contract.ts';
import { integerBetween, invalid, oneOf } from './validate.ts';

/** A text may have a mebibyte. */
const pageSize = 100;
/** A long memory holds nobody else up for longer than this and one text. */
const heldMs = 10;

type Reader = Pick<TaskStore, 'listDecisions' | 'listTodos' | 'listNotes' | 'listMessages' | 'listExecutions'>;
type Searched = Omit<MemoryHit, 'kind' | 'excerpt'> & { readonly text: string };

/** Looks through what a task's memory has of each kind, newest first, until there is as much as was asked for. */
export async function searchMemory(tasks: Reader, taskId: TaskId, query: MemoryQuery): Promise<FoundMemory> {
  const limit = integerBetween('limit', query.limit ?? 20, 1, 200);
  const words = searchWords(query.text);
  if (words.length === 0) throw invalid('text', 'has no word', 'Give words of letters and digits.');
  const kinds = (query.kinds ?? memoryKinds).map((kind) => oneOf('kinds', kind, memoryKinds));
  const found = await Promise.all([...new Set(kinds)].map(async (kind) => hitsOf(tasks, taskId, kind, words, limit)));
  const hits = found.flat().toSorted(newestFirst);
  return { hits: hits.slice(0, limit), more: hits.length > limit };
}

/** One more than is shown, which says that there are more. */
async function hitsOf(
  tasks: Reader,
  taskId: TaskId,
  kind: MemoryKind,
  words: readonly string[],
  limit: number,
): Promise<readonly MemoryHit[]> {
  const hits: MemoryHit[] = [];
  let restedAt = performance.now();
  for await (const part of read[kind](tasks, taskId)) {
    for (const { text, ...of } of part) {
      const excerpt = excerptWith(words, text);
      if (excerpt !== undefined) hits.push({ kind, ...of, excerpt });
      if (hits.length > limit) return hits;
      if (performance.now() - restedAt < heldMs) continue;
      await new Promise((resolve) => setImmediate(resolve));
      restedAt = performance.now();
    }
  }
  return hits;
}

/** What there is of each kind, in parts, newest first. */
const read: { readonly [K in MemoryKind]: (tasks: Reader, taskId: TaskId) => AsyncIterable<readonly Searched[]> } = {
  decision: (tasks, taskId) =>
    whole(async () =>
      (await tasks.listDecisions(taskId)).map(({ id, createdAt: at, agent: by, what, why, alternatives }) => {
        return { id, at, by, text: [what, why, ...alternatives].join('\n') };
      }),
    ),
  todo: (tasks, taskId) =>
    whole(async () =>
      (await tasks.listTodos(taskId)).map(({ id, updatedAt: at, agent: by, text }) => ({ id, at, by, text })),
    ),
  note: (tasks, taskId) =>
    whole(async () =>
      (await tasks.listNotes(taskId)).map(({ id, updatedAt: at, agent: by, text }) => ({ id, at, by, text })),
    ),
  message: (tasks, taskId) =>
    pages(
      (page) => tasks.listMessages(taskId, page),
      ({ id, createdAt: at, role: by, text }) => ({ id, at, by, text: text ?? '' }),
    ),
  execution: (tasks, taskId) =>
    pages(
      (page) => tasks.listExecutions(taskId, page),
      ({ id, startedAt: at, agent: by, command }) => {
        return { id, at, by, text: command.kind === 'script' ? command.script : command.argv.join(' ') };
      },
    ),
};

async function* whole(list: () => Promise<readonly Searched[]>): AsyncGenerator<readonly Searched[]> {
  yield (await list()).toSorted(newestFirst);
}

/** Ids of one kind grow with time, too, which tells apart what is of one millisecond. */
function newestFirst(one: Pick<MemoryHit, 'at' | 'id'>, other: Pick<MemoryHit, 'at' | 'id'>): number {
  if (one.at !== other.at) return one.at < other.at ? 1 : -1;
  return one.id < other.id ? 1 : -1;
}

async function* pages<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  searched: (item: T) => Searched,
): AsyncGenerator<readonly Searched[]> {
  let cursor: string | null = null;
  do {
    const page: Page<T> = await list({ limit: pageSize, ...(cursor === null ? {} : { cursor }) });
    yield page.items.map(searched);
    cursor = page.next;
  } while (cursor !== null);
}
