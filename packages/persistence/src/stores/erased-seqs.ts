/** The numbers that a `payload.erased` record names; none for what cannot be read. */
export function erasedSeqs(payload: string | null): readonly number[] {
  if (payload === null) return [];
  try {
    const { detail } = JSON.parse(payload) as { readonly detail?: { readonly seqs?: readonly unknown[] } };
    return (detail?.seqs ?? []).filter((seq) => typeof seq === 'number');
  } catch {
    return [];
  }
}
