import path from 'node:path/posix';
import type { TaskId } from '../domain/ids.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { sha256 } from '../ledger/chain.ts';
import type { ByteStream } from '../ports/volume-port.ts';
import { type FileChange, changeFiles } from './change-files.ts';
import { editText } from './edit-text.ts';
import { assertNoGround, recordedPath, sandboxPath } from './file-paths.ts';
import type {
  AtPath,
  EditFileOptions,
  FileEdited,
  FileService,
  FileWritten,
  WriteFileOptions,
} from './files-contract.ts';
import { type Reach, reachFiles } from './reach-files.ts';
import { findFiles, listFiles, readFile, searchFiles } from './read-files.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, UnderSession } from './services.ts';
import { integerBetween, invalid } from './validate.ts';

const mostEditedBytes = 16 * 1024 ** 2;
const editAttempts = 3;

export function createFileService(kernel: Kernel, keeper: SandboxKeeper): FileService {
  const reach = async <T>(
    taskId: TaskId,
    { sessionId }: UnderSession,
    call: Call,
    work: (reach: Reach) => Promise<T>,
  ) => reachFiles(kernel, keeper, taskId, sessionId, call, work);
  const change = async <T extends object>(
    taskId: TaskId,
    { sessionId }: UnderSession,
    what: FileChange<T>,
    call: Call,
  ) => changeFiles(kernel, keeper, taskId, sessionId === undefined ? {} : { sessionId }, what, call);
  const edit = async (taskId: TaskId, options: EditFileOptions, call: Call): Promise<FileEdited> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await change(taskId, options, editing(options), call);
      } catch (error) {
        const again = attempt < editAttempts && options.expectedDigest === undefined;
        if (!again || !isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
      }
    }
  };
  return {
    read: (taskId, options, call) => reach(taskId, options, call, (at) => readFile(at, options)),
    stat: (taskId, options, call) =>
      reach(taskId, options, call, ({ task, files, access }) => files.stat(access(), sandboxPath(task, options.path))),
    list: (taskId, options, call) => reach(taskId, options, call, (at) => listFiles(at, options)),
    find: (taskId, options, call) => reach(taskId, options, call, (at) => findFiles(at, options)),
    search: (taskId, options, call) => reach(taskId, options, call, (at) => searchFiles(at, options)),
    write: (taskId, options, call) => change(taskId, options, writing(options), call),
    edit,
    remove: (taskId, options, call) => change(taskId, options, removing(options), call),
    move: (taskId, options, call) => change(taskId, options, moving(options), call),
    makeDirectory: (taskId, options, call) => change(taskId, options, makingDirectory(options), call),
    copyIn: (taskId, options, call) => change(taskId, options, copyingIn(options), call),
    copyOut: (taskId, options, call) =>
      reach(taskId, options, call, ({ task, files, access }) =>
        options.take(files.pack(access(), sandboxPath(task, options.path))),
      ),
  };
}

type Written = Pick<FileWritten, 'sizeBytes' | 'digest' | 'created'>;

function writing(options: WriteFileOptions): FileChange<Written> {
  const { content, mode, expect } = options;
  if (mode !== undefined) integerBetween('mode', mode, 0, 0o7777);
  if (expect?.kind === 'digest') checkDigest(expect.digest);
  const inMemory = content instanceof Uint8Array;
  return {
    verb: 'write',
    path: (task) => sandboxPath(task, options.path),
    args: {
      digest: inMemory ? sha256(content) : null,
      mode: mode ?? null,
      expect: expect === undefined ? null : { ...expect },
    },
    repeatable: inMemory,
    make: async (files, { access, path: at, temporary }) => {
      const { path: real, ...result } = await files.write(access(), {
        path: at,
        content,
        temporary,
        makeParents: options.makeParents ?? true,
        ...(mode === undefined ? {} : { mode }),
        ...(expect === undefined ? {} : { expect }),
      });
      return { path: real, changed: [real], result, detail: { ...result } };
    },
  };
}

function editing(options: EditFileOptions): FileChange<Written & { readonly replaced: number }> {
  const { edits, expectedDigest } = options;
  if (expectedDigest !== undefined) checkDigest(expectedDigest);
  return {
    verb: 'edit',
    path: (task) => sandboxPath(task, options.path),
    args: { edits: edits.map((each) => ({ count: 1, ...each })), expectedDigest: expectedDigest ?? null },
    repeatable: true,
    make: async (files, { access, path: at, temporary }) => {
      const limits = { limitBytes: mostEditedBytes, digestLimitBytes: mostEditedBytes };
      const before = await files.read(access(), { path: at, ...limits, withDigest: true });
      if (before.truncated) throw tooLarge(at, before.facts.sizeBytes);
      if (expectedDigest !== undefined && before.digest !== expectedDigest) throw changedMeanwhile(at);
      const { bytes, replaced } = editText(before.bytes, edits);
      const digest = before.digest ?? '';
      const expect = { kind: 'digest', digest } as const;
      const { path: real, ...written } = await files.write(access(), {
        path: at,
        content: bytes,
        temporary,
        makeParents: false,
        expect,
      });
      const detail = { ...written, replaced, previousDigest: digest };
      return { path: real, changed: [real], result: { ...written, replaced }, detail };
    },
  };
}

function removing(options: AtPath & { readonly recursive?: boolean }): FileChange<object> {
  const { recursive = false } = options;
  return {
    verb: 'remove',
    path: (task) => {
      const at = sandboxPath(task, options.path);
      assertNoGround(task, at);
      return at;
    },
    args: { recursive },
    repeatable: true,
    make: async (files, { access, tell, path: at }) => {
      const changed = await files.remove(access(), { path: at, recursive, tell });
      return { path: at, changed, result: {}, detail: { recursive } };
    },
  };
}

function moving(options: AtPath & { readonly to: string; readonly replace?: boolean }): FileChange<object> {
  const { replace = false } = options;
  let target = '';
  return {
    verb: 'move',
    path: (task) => {
      const at = sandboxPath(task, options.path);
      assertNoGround(task, at);
      target = sandboxPath(task, options.to, 'to');
      if (target === at || target.startsWith(`${at}/`))
        throw invalid('to', 'is the path itself or inside of it', 'Name another place.');
      return at;
    },
    args: { to: recordedPath(options.to), replace },
    repeatable: true,
    make: async (files, { access, tell, path: at }) => {
      const below = tell ? await namesBelow(files, access, at) : [];
      await files.move(access(), { from: at, to: target, replace });
      const changed = [at, target, ...below.flatMap((name) => [`${at}/${name}`, `${target}/${name}`])];
      return { path: target, changed, result: {}, detail: { from: recordedPath(at), replace } };
    },
  };
}

async function namesBelow(files: Reach['files'], access: Reach['access'], at: string): Promise<readonly string[]> {
  const { type } = await files.stat(access(), at);
  return type === 'directory' ? (await files.list(access(), { path: at, depth: 64 })).map((entry) => entry.path) : [];
}

function makingDirectory(options: AtPath): FileChange<object> {
  return {
    verb: 'make-directory',
    path: (task) => sandboxPath(task, options.path),
    args: {},
    repeatable: true,
    make: async (files, { access, path: at }) => {
      await files.makeDirectory(access(), at);
      return { path: at, changed: [at], result: {}, detail: {} };
    },
  };
}

function copyingIn(options: AtPath & { readonly tar: ByteStream }): FileChange<{ readonly sizeBytes: number }> {
  return {
    verb: 'copy-in',
    path: (task) => sandboxPath(task, options.path),
    args: {},
    repeatable: false,
    make: async (files, { access, tell, path: at, temporary }) => {
      let sizeBytes = 0;
      async function* counted(): AsyncGenerator<Uint8Array> {
        for await (const chunk of options.tar) {
          sizeBytes += chunk.length;
          yield chunk;
        }
      }
      const told = await files.extract(access(), { path: at, tar: counted(), tell, temporary });
      return {
        path: at,
        changed: told.map((name) => path.resolve(at, name)),
        result: { sizeBytes },
        detail: { sizeBytes },
      };
    },
  };
}

function checkDigest(digest: string): void {
  if (!/^[0-9a-f]{64}$/.test(digest))
    throw invalid('digest', 'is no SHA-256', 'Give the digest that reading the file returned.');
}

function tooLarge(at: string, sizeBytes: number): OpencodeToolsError {
  return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `${recordedPath(at)} has ${sizeBytes} bytes`, {
    remedy: `Files of up to ${mostEditedBytes} bytes are edited; change larger ones by a command.`,
    details: { limit: 'bytes', valueBytes: mostEditedBytes },
  });
}

function changedMeanwhile(at: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `${recordedPath(at)} has other content than expected`, {
    remedy: 'Read the file again, and edit with the digest that this gives.',
    details: { path: recordedPath(at) },
  });
}
