import type { Piece } from "./piece.ts";

/** Pieces that wait for a connection, first come, first served; those that come back go first. */
export class PieceQueue {
  #pieces: Piece[] = [];
  #first = 0;

  get length(): number {
    return this.#pieces.length - this.#first;
  }

  /** The next piece, which stays. */
  peek(): Piece | undefined {
    return this.#pieces[this.#first];
  }

  push(piece: Piece): void {
    this.#pieces.push(piece);
  }

  /** Puts pieces before all others. */
  putBack(pieces: readonly Piece[]): void {
    this.#pieces = [...pieces, ...this.#pieces.slice(this.#first)];
    this.#first = 0;
  }

  /** Takes the next piece out. */
  drop(): void {
    this.#first += 1;
    // Half of it is past: moving the rest costs each piece one step in all.
    if (this.#first * 2 < this.#pieces.length) return;
    this.#pieces = this.#pieces.slice(this.#first);
    this.#first = 0;
  }

  /** Takes out and gives all pieces for which `isWanted` is false. */
  removeUnless(isWanted: (piece: Piece) => boolean): readonly Piece[] {
    const waiting = this.#pieces.slice(this.#first);
    this.#pieces = waiting.filter((piece) => isWanted(piece));
    this.#first = 0;
    return waiting.filter((piece) => !isWanted(piece));
  }
}
