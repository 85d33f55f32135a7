export interface ImageFacts {
  /** Content id: `sha256:…`. */
  readonly id: string;
  readonly references: readonly string[];
  readonly sizeBytes: number;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const standardImages = ['opencode-sandbox-base', 'opencode-sandbox-developer'] as const;
export type StandardImage = (typeof standardImages)[number];

export interface BuildProgress {
  (line: string): void;
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
  list(filter?: { readonly labels?: Readonly<Record<string, string>> }): Promise<readonly ImageFacts[]>;
  /** Takes a reference away, and the image when it was the last one. Absent is fine. */
  remove(reference: string): Promise<void>;
}
