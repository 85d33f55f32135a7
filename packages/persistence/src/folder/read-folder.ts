import { OpencodeToolsError, type TaskId, sha256 } from '@opencode-tools/core';
import {
  type FolderManifest,
  folderFiles,
  folderVersion,
  ledgerName,
  manifestName,
  parseManifest,
  renderManifest,
} from './folder-files.ts';
import type { HeldDirectory } from './held-directory.ts';

const mostManifestBytes = 65_536;
const mostFileBytes = 256 * 1_048_576;

export interface SoundFolder {
  readonly manifest: FolderManifest;
  /** The manifest as it is written. */
  readonly text: string;
  /** The very bytes that were checked. */
  readonly ledger: Buffer;
}

/**
 * Reads the folder of a task and checks every file against the manifest.
 *
 * @throws OpencodeToolsError `OCT_STATE_CORRUPT` naming the file that is changed, cut or missing; `OCT_SCHEMA_TOO_NEW`;
 *   `OCT_PATH_OUTSIDE_WORKSPACE` for a link; `OCT_RESOURCE_LIMIT` for a file of more than 256 MiB
 */
export async function readSound(directory: HeldDirectory, taskId: TaskId): Promise<SoundFolder> {
  const { manifest, text } = await readManifest(directory, taskId);
  let ledger: Buffer = Buffer.alloc(0);
  for (const name of folderFiles) {
    const bytes = await directory.read(name, mostFileBytes);
    if (bytes === undefined) throw damaged(directory, name, 'missing');
    if (sha256(bytes) !== manifest.files[name]) throw damaged(directory, name, 'changed');
    if (name === ledgerName) ledger = bytes;
  }
  return { manifest, text, ledger };
}

async function readManifest(
  directory: HeldDirectory,
  taskId: TaskId,
): Promise<{ readonly manifest: FolderManifest; readonly text: string }> {
  const bytes = await directory.read(manifestName, mostManifestBytes);
  if (bytes === undefined) throw damaged(directory, manifestName, 'missing');
  const text = bytes.toString('utf8');
  const manifest = parseManifest(text);
  if (manifest?.v !== undefined && manifest.v > folderVersion) {
    throw new OpencodeToolsError(
      'OCT_SCHEMA_TOO_NEW',
      `${directory.path} has version ${manifest.v}; ${folderVersion} is known`,
      { remedy: 'Upgrade opencode-tools: a newer version wrote the folder.', details: { path: directory.path } },
    );
  }
  if (manifest === undefined || !isComplete(manifest, taskId, text)) throw damaged(directory, manifestName, 'changed');
  return { manifest, text };
}

/** A manifest is as it was written when writing it again gives the same text. */
function isComplete(manifest: Partial<FolderManifest>, taskId: TaskId, text: string): manifest is FolderManifest {
  const { homeId, ledger, files } = manifest;
  if (manifest.taskId !== taskId || homeId === undefined || ledger === undefined || files === undefined) return false;
  const written = Object.fromEntries(folderFiles.map((name) => [name, files[name]])) as FolderManifest['files'];
  const { seq, hash } = ledger;
  return text === renderManifest({ taskId, homeId, ledger: { seq, hash }, files: written });
}

function damaged(directory: HeldDirectory, file: string, fault: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STATE_CORRUPT', `${directory.path}/${file} is not as it was exported: ${fault}`, {
    remedy: 'Take the folder as it was committed, or export the task again where it lives.',
    details: { path: directory.path, file, fault },
  });
}
