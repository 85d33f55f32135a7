import type { TestEngine } from './test-engine.ts';

interface Image {
  readonly Id: string;
  readonly Parent: string;
  readonly RepoTags: readonly string[] | null;
}

/** Removes what was built on an engine's test image under a name, and whatever the builder left on the way. */
export async function removeMadeImages(engine: TestEngine, name: string): Promise<void> {
  const labels = [`io.opencode-tools.recipe=${name}`, `io.opencode-tools.home=${engine.homeId}`];
  const found = await Promise.all(
    labels.map(async (label) => {
      const filters = encodeURIComponent(JSON.stringify({ label: [label] }));
      return engine.call<readonly Image[]>('GET', `/images/json?filters=${filters}`);
    }),
  );
  const left = new Set<string>();
  for (const { Id } of found.flat()) {
    for (let at = Id; at !== '' && at !== engine.imageId && !left.has(at);) {
      const image = await engine.call<Image>('GET', `/images/${at}/json`);
      left.add(at);
      for (const tag of image.RepoTags ?? []) await engine.call('DELETE', `/images/${tag}?noprune=1`);
      at = image.Parent;
    }
  }
  for (let before = -1; before !== left.size;) {
    before = left.size;
    for (const id of left) {
      const gone = engine.call('DELETE', `/images/${id}?noprune=1`).then(
        () => true,
        () => false,
      );
      if (await gone) left.delete(id);
    }
  }
}
