import { Readable } from 'node:stream';
import { type BuildProgress, type Logger, OpencodeToolsError, type StandardImage, sha256 } from '@opencode-tools/core';
import { absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { fullLabels, labelKeys } from '../plan/labels.ts';
import { readBuildContext } from './build-context.ts';
import { debianBase, hostSources } from './debian-base.ts';
import type { ImageDescription } from './docker-images.ts';
import { findDockerfiles } from './find-dockerfiles.ts';
import { readLines } from './progress-lines.ts';

interface BuildOptions {
  readonly onProgress?: BuildProgress;
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  readonly logger: Logger;
}

const buildLimitMs = 30 * 60_000;
const digestLength = 12;
/** User and group of `agent`, who owns `/workspace` and `/home/agent` in both images. */
const imageOwner = '1000:1000';

/**
 * Builds one of our images and tags it with `latest` and the digest of its inputs. Does nothing when the image that
 * `latest` names was built from the same inputs.
 *
 * @returns its reference
 */
export async function buildStandardImage(
  client: EngineClient,
  name: StandardImage,
  options: BuildOptions,
): Promise<string> {
  const reference = `${name}:latest`;
  const context = await readBuildContext(findDockerfiles(name));
  const inputs = await inputDigest(name, context.digest);
  if (!options.force && (await builtFrom(client, reference)) === inputs) {
    options.onProgress?.(`${reference} is up to date`);
    return reference;
  }
  const onLine = options.onProgress ?? ((line) => options.logger.debug(line));
  const base = await baseFor(client, name, options, onLine);
  onLine(`Building ${reference} on ${base}`);
  const query = {
    t: [reference, `${name}:inputs-${inputs.slice(0, digestLength)}`],
    buildargs: JSON.stringify({ BASE: base }),
    labels: JSON.stringify(fullLabels({ kind: 'image', owner: imageOwner, inputs })),
    rm: true,
    forcerm: true,
  };
  const file = Readable.from(context.tar(await hostSources()));
  await build(client, { query, file }, onLine, options.signal);
  await removeBuildStages(client);
  return reference;
}

/** The developer image is made of its own inputs and those of the base image. */
async function inputDigest(name: StandardImage, digest: string): Promise<string> {
  if (name === 'opencode-sandbox-base') return digest;
  const base = await readBuildContext(findDockerfiles('opencode-sandbox-base'));
  return sha256(digest + base.digest);
}

async function baseFor(
  client: EngineClient,
  name: StandardImage,
  { signal, logger }: BuildOptions,
  onProgress: BuildProgress,
): Promise<string> {
  if (name === 'opencode-sandbox-base') return debianBase(client, { onLine: onProgress, signal });
  return buildStandardImage(client, 'opencode-sandbox-base', { onProgress, logger, ...(signal ? { signal } : {}) });
}

async function build(
  client: EngineClient,
  request: { readonly query: object; readonly file: Readable },
  onLine: BuildProgress,
  signal?: AbortSignal,
): Promise<void> {
  try {
    const query = { ...request.query };
    const answer = await client.stream({
      method: 'POST',
      path: '/build',
      query,
      file: request.file,
      limitMs: buildLimitMs,
      signal,
    });
    await readLines(answer, onLine);
  } catch (error) {
    if (signal?.aborted) throw new OpencodeToolsError('OCT_CANCELLED', 'The build was cancelled', { cause: error });
    throw error;
  }
}

async function builtFrom(client: EngineClient, reference: string): Promise<string | undefined> {
  const path = `/images/${encodeURIComponent(reference)}/json`;
  const image = await absentAsUndefined(client.call<ImageDescription>({ method: 'GET', path }));
  return image?.Config?.Labels?.[labelKeys.inputs];
}

/** The first stage holds what the image leaves out; builders keep it untagged. */
async function removeBuildStages(client: EngineClient): Promise<void> {
  const filters = JSON.stringify({ dangling: ['true'], label: [`${labelKeys.kind}=build-stage`] });
  const stages = await client.call<readonly { Id: string }[]>({
    method: 'GET',
    path: '/images/json',
    query: { filters },
  });
  for (const { Id } of stages) {
    await client.call({ method: 'DELETE', path: `/images/${Id}`, limitMs: 120_000 }).catch(() => undefined);
  }
}
