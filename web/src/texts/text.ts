// The form of every catalogue: both languages, always.
export interface Text {
  zh: string;
  en: string;
}
export type Texts = Record<string, Text>;
