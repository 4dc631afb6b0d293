// ISO 3166-1, alpha-2 and alpha-3 in one word, with Kosovo's XK, which is in use without being in the standard.
const codes = `
  ADAND AEARE AFAFG AGATG AIAIA ALALB AMARM AOAGO AQATA ARARG ASASM ATAUT AUAUS AWABW AXALA AZAZE BABIH BBBRB BDBGD
  BEBEL BFBFA BGBGR BHBHR BIBDI BJBEN BLBLM BMBMU BNBRN BOBOL BQBES BRBRA BSBHS BTBTN BVBVT BWBWA BYBLR BZBLZ CACAN
  CCCCK CDCOD CFCAF CGCOG CHCHE CICIV CKCOK CLCHL CMCMR CNCHN COCOL CRCRI CUCUB CVCPV CWCUW CXCXR CYCYP CZCZE DEDEU
  DJDJI DKDNK DMDMA DODOM DZDZA ECECU EEEST EGEGY EHESH ERERI ESESP ETETH FIFIN FJFJI FKFLK FMFSM FOFRO FRFRA GAGAB
  GBGBR GDGRD GEGEO GFGUF GGGGY GHGHA GIGIB GLGRL GMGMB GNGIN GPGLP GQGNQ GRGRC GSSGS GTGTM GUGUM GWGNB GYGUY HKHKG
  HMHMD HNHND HRHRV HTHTI HUHUN IDIDN IEIRL ILISR IMIMN ININD IOIOT IQIRQ IRIRN ISISL ITITA JEJEY JMJAM JOJOR JPJPN
  KEKEN KGKGZ KHKHM KIKIR KMCOM KNKNA KPPRK KRKOR KWKWT KYCYM KZKAZ LALAO LBLBN LCLCA LILIE LKLKA LRLBR LSLSO LTLTU
  LULUX LVLVA LYLBY MAMAR MCMCO MDMDA MEMNE MFMAF MGMDG MHMHL MKMKD MLMLI MMMMR MNMNG MOMAC MPMNP MQMTQ MRMRT MSMSR
  MTMLT MUMUS MVMDV MWMWI MXMEX MYMYS MZMOZ NANAM NCNCL NENER NFNFK NGNGA NINIC NLNLD NONOR NPNPL NRNRU NUNIU NZNZL
  OMOMN PAPAN PEPER PFPYF PGPNG PHPHL PKPAK PLPOL PMSPM PNPCN PRPRI PSPSE PTPRT PWPLW PYPRY QAQAT REREU ROROU RSSRB
  RURUS RWRWA SASAU SBSLB SCSYC SDSDN SESWE SGSGP SHSHN SISVN SJSJM SKSVK SLSLE SMSMR SNSEN SOSOM SRSUR SSSSD STSTP
  SVSLV SXSXM SYSYR SZSWZ TCTCA TDTCD TFATF TGTGO THTHA TJTJK TKTKL TLTLS TMTKM TNTUN TOTON TRTUR TTTTO TVTUV TWTWN
  TZTZA UAUKR UGUGA UMUMI USUSA UYURY UZUZB VAVAT VCVCT VEVEN VGVGB VIVIR VNVNM VUVUT WFWLF WSWSM XKXKK YEYEM YTMYT
  ZAZAF ZMZMB ZWZWE`
  .trim()
  .split(/\s+/);

/** Languages in which addresses may name a country. The earlier one wins where two disagree. */
const languages = ['en', 'de', 'fr', 'es', 'it', 'nl', 'pl', 'pt', 'cs', 'da', 'sv'];

/** Names that no language's list has: short ones, former ones, official ones, parts of the United Kingdom. */
const otherNames: Readonly<Record<string, string>> = {
  AE: 'UAE',
  BA: 'Bosnia',
  BN: 'Brunei Darussalam',
  CD: 'Democratic Republic of the Congo, DR Congo, DRC',
  CG: 'Republic of the Congo, Congo',
  CI: 'Ivory Coast',
  CN: "People's Republic of China, PRC, PR China, Mainland China",
  CZ: 'Czech Republic',
  DE: 'Federal Republic of Germany, BRD',
  FM: 'Federated States of Micronesia',
  GB: 'UK, U.K., Great Britain, Britain, England, Scotland, Wales, Northern Ireland',
  GM: 'The Gambia',
  HK: 'Hong Kong, Hongkong',
  IE: 'Republic of Ireland, Eire',
  IR: 'Islamic Republic of Iran',
  KR: 'Korea, Republic of Korea',
  LA: "Lao People's Democratic Republic",
  MD: 'Republic of Moldova',
  MK: 'Macedonia',
  MM: 'Myanmar, Burma',
  MO: 'Macao, Macau',
  NL: 'The Netherlands, Holland',
  PS: 'Palestine, State of Palestine',
  RU: 'Russian Federation',
  SY: 'Syrian Arab Republic',
  SZ: 'Swaziland',
  TL: 'East Timor',
  TR: 'Turkey, Turkiye',
  TZ: 'United Republic of Tanzania',
  US: 'USA, U.S.A., U.S., United States of America, America',
  VA: 'Holy See, Vatican',
  VN: 'Viet Nam',
};

/** A name as it is compared: small letters, no accents, no signs, `and` for `&` and `saint` for `st.`. */
const folded = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replace(/&/g, ' and ')
    .replace(/\bst\b\.?/g, 'saint')
    .replace(/[^\p{L}\p{N}]+/gu, '');

let names: ReadonlyMap<string, string> | null = null;

// Made when it is first needed: thousands of names, and most commands read no address.
function codeOfName(): ReadonlyMap<string, string> {
  if (names !== null) return names;
  const found = new Map<string, string>();
  const add = (name: string | undefined, code: string): void => {
    const key = folded(name ?? '');
    if (key !== '' && !found.has(key)) found.set(key, code);
  };
  for (const code of codes) {
    add(code.slice(0, 2), code.slice(0, 2));
    add(code.slice(2), code.slice(0, 2));
  }
  for (const [code, others] of Object.entries(otherNames)) for (const name of others.split(', ')) add(name, code);
  for (const language of languages) {
    const display = new Intl.DisplayNames([language], { type: 'region', fallback: 'none' });
    for (const code of codes) add(display.of(code.slice(0, 2)), code.slice(0, 2));
  }
  names = found;
  return found;
}

// Longer than any name; what is longer need not be taken apart.
const maxNameLength = 80;

/** The ISO 3166-1 alpha-2 code of a country's name (in eleven languages) or code; null for what is none. */
export const countryOf = (name: string): string | null =>
  name.length > maxNameLength ? null : (codeOfName().get(folded(name)) ?? null);
