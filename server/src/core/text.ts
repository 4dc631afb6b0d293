/**
 * Tells whether PostgreSQL can store the text and give it back: no NUL (0x00 is not allowed in text) and no lone surrogate
 * (it has no UTF-8 form).
 */
export const isStorableText = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed();
