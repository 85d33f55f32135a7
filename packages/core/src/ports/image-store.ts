import type { ByteStream } from './volume-port.ts';

export interface ImageFacts {
  /** Content id: `sha256:…`. */
  readonly id: string;
  readonly references: readonly string[];
  /** Whom it runs programs as; empty for root. */
  readonly user: string;
  readonly sizeBytes: number;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const standardImages = ['opencode-sandbox-base', 'opencode-sandbox-developer'] as const;
export type StandardImage = (typeof standardImages)[number];

export interface BuildProgress {
  (line: string): void;
}

/** What an image of a user's own is made of. */
export interface ImageRecipe {
  /** Lower case letters and digits, with `.`, `_`, `-` and `/` between them; none of ours. */
  readonly name: string;
  /** Reference of an image that setup steps run on; or, in its place, a context. */
  readonly base?: string;
  /**
   * A tar of a directory with a Dockerfile, without the paths below it that `leaveOut` says; called more than once. A `.dockerignore` in it
   * counts as it does for the docker command.
   */
  readonly context?: (leaveOut: (path: string) => boolean) => ByteStream;
  /** Path of the Dockerfile in the context; `Dockerfile` by default. */
  readonly dockerfile?: string;
  /** Scripts that `sh -e` runs as root, one after the other, with the engine's default network. */
  readonly setup: readonly string[];
}

/** One of the images that were made for a name. */
export interface ImageVersion extends ImageFacts {
  /** True of the one that the name leads to. */
  readonly current: boolean;
  /** True when the reference of its base leads to another image by now, or to none; null when that is not known. */
  readonly stale: boolean | null;
}

/** Images on the engine. */
export interface ImageStore {
  /** @param reference a name, `name:tag`, a content id, or `name@sha256:…`: a registry's digest, or the content id of an image built here */
  find(reference: string): Promise<ImageFacts | undefined>;
  /**
   * Finds an image, pulling it when a registry has it.
   *
   * @throws OpencodeToolsError `OCT_IMAGE_NOT_FOUND` whose remedy says how to get it; `OCT_IMAGE_PULL_FAILED`
   */
  ensure(reference: string, options?: { readonly signal?: AbortSignal }): Promise<ImageFacts>;
  /** Builds one of our images from the Dockerfile shipped with the package. Unchanged inputs build nothing. */
  build(
    name: StandardImage,
    options?: { readonly onProgress?: BuildProgress; readonly force?: boolean; readonly signal?: AbortSignal },
  ): Promise<ImageFacts>;
  /**
   * Makes an image of a user's own and lets its name lead to it. One that was made from the same is found again: nothing is built, and no
   * network is needed. Versions made before stay.
   *
   * @param options `force` builds in any case, without the engine's cache
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a recipe that is none, or a step that fails
   */
  make(
    recipe: ImageRecipe,
    options?: { readonly onProgress?: BuildProgress; readonly force?: boolean; readonly signal?: AbortSignal },
  ): Promise<ImageFacts>;
  /** What was made for a name, newest first. */
  versions(name: string): Promise<readonly ImageVersion[]>;
  /**
   * Lets a name lead to another of its versions.
   *
   * @param to a tag, a content id, or what this begins with; by default the version before the current one
   * @throws OpencodeToolsError `OCT_IMAGE_NOT_FOUND`
   */
  rollBack(name: string, to?: string): Promise<ImageVersion>;
  /**
   * Removes a version with all its names and, where it was made by setup steps, what lies between it and its base.
   *
   * @returns false when the engine says that a container or an image needs it
   */
  removeVersion(version: ImageVersion): Promise<boolean>;
  /**
   * Opens an image with all its layers as one tar. Read it once.
   *
   * @throws OpencodeToolsError `OCT_IMAGE_NOT_FOUND`
   */
  save(id: string, options?: { readonly signal?: AbortSignal }): Promise<ByteStream>;
  /**
   * Makes an image of what `save` gave, wherever it comes from, under the tag and with the labels alone. Nothing in it is run. The tag is
   * there once all of it is.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a stream that is cut off, damaged, or not one image;
   *   `OCT_CAPABILITY_UNSUPPORTED` for an image of another architecture
   */
  load(
    saved: ByteStream,
    as: { readonly tag: string; readonly labels: Readonly<Record<string, string>> },
    options?: { readonly signal?: AbortSignal },
  ): Promise<ImageFacts>;
  list(filter?: { readonly labels?: Readonly<Record<string, string>> }): Promise<readonly ImageFacts[]>;
  /** Takes a reference away, and the image when it was the last one. Absent is fine. */
  remove(reference: string): Promise<void>;
}
