/** Something that a bench needs is not on this machine; the message says what. */
export class MissingTool extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MissingTool';
  }
}
