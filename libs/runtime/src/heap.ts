/** A binary heap: the first by `compare` is found at once, and taken or added in as many steps as the heap is deep. */
export function createHeap<T>(compare: (a: T, b: T) => number) {
  const items: T[] = [];

  /** Whether the item at `i` comes before the one at `j`; what is not there comes last. */
  const isBefore = (i: number, j: number): boolean => {
    const [a, b] = [items[i], items[j]];
    return a !== undefined && (b === undefined || compare(a, b) < 0);
  };
  const swap = (i: number, j: number): void => {
    const [a, b] = [items[i], items[j]];
    if (a === undefined || b === undefined) return;
    items[i] = b;
    items[j] = a;
  };
  const parentOf = (i: number): number => Math.floor((i - 1) / 2);
  const earlierChildOf = (i: number): number => (isBefore(2 * i + 2, 2 * i + 1) ? 2 * i + 2 : 2 * i + 1);

  return {
    peek: (): T | undefined => items[0],
    push: (item: T): void => {
      items.push(item);
      for (let i = items.length - 1; i > 0 && isBefore(i, parentOf(i)); i = parentOf(i)) swap(i, parentOf(i));
    },
    pop: (): T | undefined => {
      swap(0, items.length - 1);
      const first = items.pop();
      for (let i = 0, child = earlierChildOf(i); isBefore(child, i); i = child, child = earlierChildOf(i)) swap(i, child);
      return first;
    },
  };
}
