/** A style sheet, taken in as its text. */
declare module '*.css' {
  const text: string;
  export default text;
}
