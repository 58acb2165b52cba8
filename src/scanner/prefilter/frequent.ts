/**
 * Pieces of four characters that source text is full of, the most frequent first; counted over TypeScript, Python, Go and C, letters folded (so a line end
 * is *). What names of issuers and secrets share with common words is at the
 * end. Good for choosing what to look for; nothing depends on it.
 */
const PIECES = (
  '    |*   |tion| the|,*  |the |*)))|))))|type|name| con|;*  |cons|stri|onst|ring|turn|etur|trin|retu|efin|{*  |**  |defi|' +
  'fine| {* |   *|)*  |,*))|nst |urn |func|----|ine |port|ing |erro|{*))| ret|rror|ion |:*  | {*)|  re|sion|#def|*#de|   r|' +
  '  * |) {*|valu| to |ctio|alue| err|this|   c|test| if | str|* * |atio|cont|ions| */*|****|  co| for| is |node|self|   i|' +
  ' of |   s| thi|ptio|for |inte|);* |ject| int|ment|chec|heck|ort |   }|nter|stat|text|   "|  # |   t|open|able|from|with|' +
  'bjec|unct| in |ncti| := |opti|data| sel|  if|obje|elf.| typ|  }*|}*  |time| and|file| def|pens|and |code|enss|nssl|.*  |' +
  'asn1|serv|ourc|sour|urce| not|pect|tern|read|*/* | val|ted |path|ype(|)*))| pro|onte|rom |expe|form| nam|para|xpec|sche|' +
  ' res| fro|},*)|vers|int |requ| }* |err |ersi|not |conf|)if |stru|mpor|),* |aram|char| fun| sta|comp|impo|truc|ruct|list|' +
  'ting|)}*)| => |ssio|spec|def |s = |ne s|his.|if (|true|ener|rsio|)ret|lice|ype |)*#d|expo|sert| use|mber|reso|ress|) =>|' +
  'asse|exte|  se| wit|xpor| be |,  #|ntex|f th|erat|void|call| ope|e = |orma|sign| exp|)))}|   d|   e|his |*/**|(sk)|, er|' +
  ' cha|erna|reat|*}**|sser|e th|onfi|pars|info|atch|chem|arse|crea|*fun|(oss|oper| nil|numb|erve|)** |n th|ames|s th|ents|' +
  '",* |umbe|ault| tha|faul|hat | or |*** |nfig|qual| par|eate|aliz|ent |case|   a|ated|icen|gene|e(sk|",*)|enti|ame |:   |' +
  'wait|ense|date|   /|efau|defa|ient| 0, |**/*| new|*)}*|me: |esou|eque|cens|** *|null|/*  |unde| tru|ount|ange| com|e*  |' +
  ' rea|ield|lize|of t|star|e sk| tes|line|work|essi|eser|))re|/***|ecte|cted|lass|pres|hema|  de|ame:|rame|ther| oss|sage|' +
  'equa|*  }|lien|   f|that|)},*|clie|tart|emen|nera|))*#|ith | ** |clas|ding|tain|cess|*  c|*// |   p|rati|rnal|resu|rmat|' +
  'ined|ate |*))}| obj|arra|x509|))},|ase | des|nstr|meta|  /*|ctor|alse|uest|auth| nod|))}*|  th| *  |sult|t = |r = |esul|' +
  'inst|atus|tatu|spac|r th|fals|alid|fiel|he s|pace|essa|vali|pe(s|ame,|dent|   (|are |tate|.nam|, in|.* *| fil|only| req|' +
  'ons | opt| as |bool|expr|ques|mess|):* |ssag|scri|leng|attr| num|ned | und|*exp|seri|meth|http|mple|iali|)// |   #|ngth|' +
  'engt|ifie| set|ndef|kind|(con| = {| != |", "|cert|eria|tati|byte|elet|eral|prop|rial|size|json| key|tabl| ===|(pos|ffer|' +
  'ror(|ance|=== |init|comm|olic|nsta|ed t|espa|me, |t in|poli|olum|e re|  */|lect|rray|inde| get|} = |ecti|etho| voi|ing(|' +
  'icat|},* |thod|onta|new | an |xten| /**|fail|itio|he l|lue |s no|oken| = s|, co|d to|none|ble |trib|ode | met|copy|sync|' +
  'ampl|assi|auth|ault|cess|cord|cret|cryp|deco|ecre|exce|http|ient|iden|lass|logg|mark|mess|oken|once|pass|priv|push|rede|' +
  'resp|riva|secr|send|sfor|ssio|tabl|tify|toke|trib|ttps|tps:|ps:/|uffe|user|work|word|istr|llba|bjec|able|disc|host|kind|tory| api'
).split('|')

/** From a piece, as a word with its lowest byte first, to its place in that order. */
export const frequent: ReadonlyMap<number, number> = new Map(
  PIECES.filter((piece) => piece !== '').map((piece, at) => [Buffer.from(piece, 'latin1').readInt32LE(0) >>> 0, at]),
)
