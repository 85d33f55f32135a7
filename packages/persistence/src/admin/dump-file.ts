import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { OpencodeToolsError } from '@opencode-tools/core';
import type { Plan } from '../query/plan.ts';
import { type RegistryFacts, readFacts } from './registry-facts.ts';
import { readRows } from './read-rows.ts';
import type { Row, RowSource, SourceIdentity, SourceTable } from './row-source.ts';
import { readShapes } from './table-shapes.ts';

const format = 'opencode-tools-dump';
const version = 1;
const bufferBytes = 1 << 20;

interface DumpHeader extends SourceIdentity {
  readonly format: typeof format;
  readonly v: typeof version;
}

/**
 * Writes all rows that one moment shows into a file: a header, then each table as a line with its columns, its rows as
 * lines of JSON, and a line with their number and digest; at the end the digest of everything.
 */
export function* dumpPlan(file: string, except: ReadonlySet<string> = new Set()): Plan<RegistryFacts> {
  const out = new DumpWriter(file);
  try {
    const facts = yield* readFacts();
    const { schemaVersion, epoch, homes } = facts;
    out.line({ format, v: version, schemaVersion, epoch, homes } satisfies DumpHeader);
    for (const shape of yield* readShapes()) {
      if (except.has(shape.name)) continue;
      out.line({ table: shape.name, columns: shape.columns });
      const rows = createHash('sha256');
      const total = yield* readRows(shape, (row) => rows.update(out.line(row)));
      out.line({ end: shape.name, rows: total, digest: rows.digest('hex') });
    }
    out.finish();
    return facts;
  } finally {
    out.close();
  }
}

class DumpWriter {
  readonly #descriptor: number;
  readonly #hash = createHash('sha256');
  #pending: string[] = [];
  #pendingLength = 0;

  constructor(file: string) {
    this.#descriptor = openSync(file, 'w', 0o600);
  }

  line(value: unknown): string {
    const text = `${JSON.stringify(value)}\n`;
    this.#pending.push(text);
    this.#pendingLength += text.length;
    if (this.#pendingLength >= bufferBytes) this.#flush();
    return text;
  }

  finish(): void {
    this.#flush();
    const digest = this.#hash.copy().digest('hex');
    this.line({ end: 'dump', digest });
    this.#flush();
    fsyncSync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #flush(): void {
    const bytes = Buffer.from(this.#pending.join(''));
    this.#hash.update(bytes);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#descriptor, bytes, at);
    this.#pending = [];
    this.#pendingLength = 0;
  }
}

/** A dump as a source of rows. Whatever does not fit its digests is refused while it is read, before the end. */
export class DumpFile implements RowSource {
  readonly identity: SourceIdentity;
  readonly #file: string;

  /** @throws OpencodeToolsError `OCT_STATE_CORRUPT`, `OCT_SCHEMA_TOO_NEW` */
  constructor(file: string) {
    this.#file = file;
    const [first] = linesOf(file);
    const header = parse(file, first ?? '') as Partial<DumpHeader>;
    if (header.format !== format || header.v === undefined) throw corrupt(file, 'it is no dump of a registry');
    if (header.v > version) throw new OpencodeToolsError('OCT_SCHEMA_TOO_NEW', `${file} has version ${header.v}`);
    const { schemaVersion = 0, epoch = 0, homes = [] } = header;
    this.identity = { schemaVersion, epoch, homes };
  }

  *tables(): Generator<SourceTable> {
    const whole = createHash('sha256');
    const lines = hashed(linesOf(this.#file), whole);
    lines.next();
    for (;;) {
      const before = whole.copy().digest('hex');
      const { value, done } = lines.next();
      if (done === true) throw corrupt(this.#file, 'it ends early');
      const mark = parse(this.#file, value) as { table?: string; columns?: string[]; end?: string; digest?: string };
      if (mark.end === 'dump') {
        if (mark.digest !== before) throw corrupt(this.#file, 'it is not as it was written');
        return;
      }
      if (mark.table === undefined || mark.columns === undefined) throw corrupt(this.#file, 'a table is missing');
      const rows = this.#rows(lines, mark.table);
      yield { name: mark.table, columns: mark.columns, rows };
      // A table that nobody wanted is read over, and checked all the same.
      while (rows.next().done !== true);
    }
  }

  *#rows(lines: Generator<string>, table: string): Generator<Row> {
    const hash = createHash('sha256');
    let rows = 0;
    for (;;) {
      const { value, done } = lines.next();
      if (done === true) throw corrupt(this.#file, 'it ends early');
      const parsed = parse(this.#file, value);
      if (Array.isArray(parsed)) {
        hash.update(`${value}\n`);
        rows += 1;
        yield parsed as Row;
        continue;
      }
      const end = parsed as { readonly rows?: unknown; readonly digest?: unknown };
      if (end.rows === rows && end.digest === hash.digest('hex')) return;
      throw corrupt(this.#file, `the rows of ${table} are not as they were written`);
    }
  }
}

function* hashed(lines: Iterable<string>, hash: { update(text: string): unknown }): Generator<string> {
  for (const line of lines) {
    hash.update(`${line}\n`);
    yield line;
  }
}

/** Lines of a file of any size, read without waiting. */
export function* linesOf(file: string): Generator<string> {
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(bufferBytes);
    let rest: Buffer = Buffer.alloc(0);
    for (let length = readSync(descriptor, buffer); length > 0; length = readSync(descriptor, buffer)) {
      let from = 0;
      const block = Buffer.concat([rest, buffer.subarray(0, length)]);
      for (let at = block.indexOf(10); at !== -1; at = block.indexOf(10, from)) {
        yield block.toString('utf8', from, at);
        from = at + 1;
      }
      rest = block.subarray(from);
    }
    if (rest.length > 0) yield rest.toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

function parse(file: string, line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    throw corrupt(file, 'a line cannot be read');
  }
}

function corrupt(file: string, why: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STATE_CORRUPT', `The backup ${file} cannot be used: ${why}`, {
    remedy: 'Choose another backup with `opencode-tools db backups`.',
    details: { file },
  });
}
