import type { HostFiles, ImageRecipe, ImageStore } from '@opencode-tools/core';
import type { ConfiguredImage, ConfiguredImages } from '../configuration/images-kind.ts';

/**
 * Images of an engine, and those that the configuration names: whoever asks for such a name gets an image of what the configuration says
 * now. It is made unless one was made of the same; nothing is pulled.
 */
export function nameImages(images: ImageStore, configured: ConfiguredImages, hostFiles: HostFiles): ImageStore {
  const known = (name: string): ConfiguredImage | undefined =>
    Object.hasOwn(configured, name) ? configured[name] : undefined;
  return {
    ...images,
    ensure: async (reference, options = {}) => {
      const name = reference.replace(/:latest$/, '');
      const image = known(name);
      if (image === undefined) return images.ensure(reference, options);
      return images.make(recipeOf(name, image, hostFiles, options.signal), options);
    },
    make: async (recipe, options = {}) => {
      const { name, base, context, setup } = recipe;
      const image = base === undefined && context === undefined && setup.length === 0 ? known(name) : undefined;
      return images.make(image ? recipeOf(name, image, hostFiles, options.signal) : recipe, options);
    },
  };
}

function recipeOf(
  name: string,
  { context, ...image }: ConfiguredImage,
  hostFiles: HostFiles,
  signal: AbortSignal | undefined,
): ImageRecipe {
  if (context === undefined) return { name, ...image };
  return { name, ...image, context: (leaveOut) => hostFiles.pack(context, '.', signal, leaveOut) };
}
