/** Waits until all have ended, also when one fails, for what they work on goes afterwards. @throws the first failure in their order */
export async function allEnded<A, B>(one: Promise<A>, other: Promise<B>): Promise<readonly [A, B]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}
