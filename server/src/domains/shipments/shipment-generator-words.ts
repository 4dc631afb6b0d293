/** What made-up shipments are made of. */

export interface GeneratedCarrier {
  readonly name: string;
  /** Its numbers begin with this; 12 digits follow. */
  readonly prefix: string;
  /** Out of 100. */
  readonly share: number;
  /** Its words, in the order of a parcel's way. */
  readonly codes: Readonly<Record<GeneratedStep, string>>;
}

export type GeneratedStep =
  | 'announced'
  | 'pickedUp'
  | 'scanned'
  | 'out'
  | 'failed'
  | 'waiting'
  | 'delivered'
  | 'returning'
  | 'returned';

const plain: GeneratedCarrier['codes'] = {
  announced: 'info_received',
  pickedUp: 'picked_up',
  scanned: 'in_transit',
  out: 'out_for_delivery',
  failed: 'delivery_attempt_failed',
  waiting: 'available_for_pickup',
  delivered: 'delivered',
  returning: 'return_to_sender',
  returned: 'returned_to_sender',
};

/** In the forms that the carriers' real numbers have, each with its own spelling of the codes. */
export const generatedCarriers: readonly GeneratedCarrier[] = [
  { name: 'DHL', prefix: '00340434', share: 30, codes: { ...plain, scanned: 'in-transit' } },
  { name: 'UPS', prefix: '1Z4W8A', share: 20, codes: { ...plain, scanned: 'inbound-scan', pickedUp: 'origin-scan' } },
  { name: 'DPD', prefix: '01', share: 15, codes: { ...plain, scanned: 'transit', out: 'delivery' } },
  { name: 'FedEx', prefix: '', share: 12, codes: { ...plain, scanned: 'In Transit', delivered: 'Delivered' } },
  { name: 'GLS', prefix: '5', share: 10, codes: { ...plain, scanned: 'scanned' } },
  { name: 'PostNL', prefix: '3SMILL', share: 6, codes: { ...plain, announced: 'InfoReceived', failed: 'AttemptFail' } },
  { name: 'USPS', prefix: '9400111899', share: 5, codes: { ...plain, out: 'OutForDelivery' } },
  { name: 'Canada Post', prefix: '7023', share: 2, codes: plain },
];

export interface GeneratedCity {
  readonly city: string;
  /** `#` stands for a digit, `@` for a letter. */
  readonly postalCode: string;
  readonly country: string;
  readonly countryName: string;
  readonly streets: readonly string[];
  /** How its country writes an address: number before the street or behind it, code before the city or behind it. */
  readonly style: 'continental' | 'british' | 'american';
}

const german = ['Hauptstraße', 'Bahnhofstraße', 'Gartenweg', 'Schillerstraße', 'Lindenallee'];
const french = ['Rue de la Paix', 'Avenue Foch', 'Rue du Moulin', 'Boulevard Victor Hugo'];
const english = ['High Street', 'Station Road', 'Church Lane', 'Victoria Road'];
const american = ['Main St', 'Oak Ave', 'Maple Dr', '2nd St'];

const continental = (countryName: string, country: string, streets: readonly string[]) =>
  ({ country, countryName, streets, style: 'continental' }) as const;
const inGermany = continental('Germany', 'DE', german);
const inFrance = continental('France', 'FR', french);
const inBritain = { country: 'GB', countryName: 'United Kingdom', streets: english, style: 'british' } as const;
const inAmerica = { country: 'US', countryName: 'USA', streets: american, style: 'american' } as const;

export const generatedCities: readonly GeneratedCity[] = [
  { city: 'Berlin', postalCode: '10##5', ...inGermany },
  { city: 'Hamburg', postalCode: '20##4', ...inGermany },
  { city: 'München', postalCode: '80##1', ...inGermany },
  { city: 'Köln', postalCode: '50##7', ...inGermany },
  { city: 'Stuttgart', postalCode: '70##3', ...inGermany },
  { city: 'Leipzig', postalCode: '04##9', ...inGermany },
  { city: 'Paris', postalCode: '750##', ...inFrance },
  { city: 'Lyon', postalCode: '6900#', ...inFrance },
  { city: 'Saint-Étienne', postalCode: '42#00', ...inFrance },
  { city: 'Brussels', postalCode: '10#0', ...continental('Belgium', 'BE', ['Rue Neuve', 'Nieuwstraat']) },
  { city: 'Amsterdam', postalCode: '10#1 @@', ...continental('Netherlands', 'NL', ['Damrak', 'Herengracht']) },
  { city: 'Rotterdam', postalCode: '30#4 @@', ...continental('Netherlands', 'NL', ['Coolsingel', 'Blaak']) },
  { city: 'Copenhagen', postalCode: '1#50', ...continental('Denmark', 'DK', ['Vestergade', 'Nørregade']) },
  { city: 'Madrid', postalCode: '280#3', ...continental('Spain', 'ES', ['Calle Mayor', 'Gran Vía']) },
  { city: 'Barcelona', postalCode: '080#7', ...continental('Spain', 'ES', ['Carrer de Balmes', 'Rambla']) },
  { city: 'Milano', postalCode: '201##', ...continental('Italy', 'IT', ['Via Roma', 'Corso Italia']) },
  { city: 'Wien', postalCode: '1##0', ...continental('Austria', 'AT', ['Mariahilfer Straße', 'Ringstraße']) },
  { city: 'Zürich', postalCode: '80#1', ...continental('Switzerland', 'CH', ['Bahnhofstrasse', 'Limmatquai']) },
  { city: 'Warszawa', postalCode: '00-1##', ...continental('Poland', 'PL', ['ul. Złota', 'ul. Długa']) },
  { city: 'London', postalCode: 'SW#A #@@', ...inBritain },
  { city: 'Manchester', postalCode: 'M# #@@', ...inBritain },
  { city: 'New York', postalCode: 'NY 10###', ...inAmerica },
  { city: 'Chicago', postalCode: 'IL 60###', ...inAmerica },
  { city: 'San Francisco', postalCode: 'CA 94###', ...inAmerica },
];

const things = ['Laptop', 'Mouse', 'Monitor', 'Keyboard', 'Headphones', 'Smartphone', 'Charger', 'Camera'];
const makes = ['Alpha', 'Bravo', 'Delta', 'Ultra', 'Nova', 'Terra', 'Vega', 'Zephyr'];

/** 64 articles; the price in minor units follows from the name. */
export const generatedArticles: readonly { readonly sku: string; readonly name: string; readonly unitPrice: number }[] =
  things.flatMap((thing, t) =>
    makes.map((make, m) => ({
      sku: `${thing.slice(0, 2).toUpperCase()}${100 + t * 8 + m}`,
      name: `${make} ${thing}`,
      unitPrice: 990 + (((t * 8 + m) * 7_919) % 90_000),
    })),
  );
