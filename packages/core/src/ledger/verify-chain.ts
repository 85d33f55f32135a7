import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { type ChainHead, hashRecord, sha256 } from './chain.ts';
import { type StoredRecord, type StreamId, genesisHash } from './ledger-record.ts';

export const chainFaults = [
  'sequence-gap',
  'broken-link',
  'hash-mismatch',
  'payload-mismatch',
  'payload-missing',
  'foreign-stream',
  'unparsable',
  'head-mismatch',
  'chain-missing',
] as const;
export type ChainFault = (typeof chainFaults)[number];

/** The first record that does not fit, and why. */
export interface BrokenRecord {
  readonly stream: StreamId;
  readonly seq: number;
  readonly fault: ChainFault;
  readonly expected: string;
  readonly found: string;
}

export interface ChainReport {
  readonly stream: StreamId;
  readonly records: number;
  readonly head: ChainHead;
  readonly broken: BrokenRecord | null;
}

/** What a walk over many chains found. */
export interface ChainsReport {
  readonly chains: number;
  readonly records: number;
  /** The first record of each chain that does not fit. */
  readonly broken: readonly BrokenRecord[];
}

export interface VerifyOptions {
  /** Where the chain starts after pruning; the genesis by default. */
  readonly base?: ChainHead;
  /** The head that the registry keeps beside the chain; a chain that ends elsewhere was cut or extended. */
  readonly anchoredHead?: ChainHead;
  /** Sequence numbers whose payload was erased by a later `payload.erased` record. */
  readonly erased?: ReadonlySet<number>;
}

/**
 * Checks one chain record by record, in constant memory: numbering, links, hashes, payload digests, and the anchored
 * head. Stops at the first record that does not fit.
 *
 * @param records the stream's records in order of `seq`
 */
export async function verifyChain(
  stream: StreamId,
  records: AsyncIterable<StoredRecord> | Iterable<StoredRecord>,
  options: VerifyOptions = {},
): Promise<ChainReport> {
  const check = new ChainCheck(stream, options.base);
  for await (const record of records) {
    if (!check.add(record, options.erased)) break;
  }
  return check.end(options.anchoredHead);
}

/** The same for whoever gets the records handed. */
export class ChainCheck {
  readonly stream: StreamId;
  #head: ChainHead;
  #records = 0;
  #broken: BrokenRecord | null = null;

  /** @param base where the chain starts after pruning; the genesis by default */
  constructor(stream: StreamId, base: ChainHead = { seq: 0, hash: genesisHash }) {
    this.stream = stream;
    this.#head = base;
  }

  /** Checks the next record; false when it, or one before it, does not fit. */
  add(record: StoredRecord, erased?: ReadonlySet<number>): boolean {
    this.#broken ??= checkRecord(this.stream, record, this.#head, erased);
    if (this.#broken !== null) return false;
    this.#head = { seq: record.seq, hash: record.hash };
    this.#records += 1;
    return true;
  }

  /** @param anchoredHead the head that the registry keeps beside the chain */
  end(anchoredHead?: ChainHead): ChainReport {
    const broken = this.#broken ?? checkHead(this.stream, this.#head, anchoredHead);
    return { stream: this.stream, records: this.#records, head: this.#head, broken };
  }
}

function checkRecord(
  stream: StreamId,
  record: StoredRecord,
  head: ChainHead,
  erased: ReadonlySet<number> | undefined,
): BrokenRecord | null {
  const seq = head.seq + 1;
  const fail = (fault: ChainFault, expected: string, found: string): BrokenRecord => ({
    stream,
    seq,
    fault,
    expected,
    found,
  });
  if (record.stream !== stream) return fail('foreign-stream', stream, record.stream);
  if (record.seq !== seq) return fail('sequence-gap', String(seq), String(record.seq));
  if (record.prevHash !== head.hash) return fail('broken-link', head.hash, record.prevHash);
  const hash = hashOf(record);
  if (hash === undefined) return fail('unparsable', 'a record that can be hashed', 'values that JSON cannot hold');
  if (hash !== record.hash) return fail('hash-mismatch', hash, record.hash);
  if (record.payload === null) {
    return erased?.has(seq) === true ? null : fail('payload-missing', record.payloadDigest, 'nothing');
  }
  const digest = sha256(record.payload);
  return digest === record.payloadDigest ? null : fail('payload-mismatch', record.payloadDigest, digest);
}

/** Undefined for a record that no writer of ours can have made: a lone surrogate or a number that is none. */
function hashOf(record: StoredRecord): string | undefined {
  try {
    return hashRecord(record);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_INVALID_ARGUMENT')) return undefined;
    throw error;
  }
}

function checkHead(stream: StreamId, head: ChainHead, anchored: ChainHead | undefined): BrokenRecord | null {
  if (anchored === undefined || (anchored.seq === head.seq && anchored.hash === head.hash)) return null;
  const seq = Math.min(anchored.seq, head.seq) + 1;
  return {
    stream,
    seq,
    fault: 'head-mismatch',
    expected: `${anchored.seq}:${anchored.hash}`,
    found: `${head.seq}:${head.hash}`,
  };
}
