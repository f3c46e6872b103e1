"""Paints a person's skin into textures, in the space of the template."""

from .common import GROWTH, NOISE, VERSION

VERTEX = (
    VERSION
    + """
in vec2 uv, maskuv, texuv; in vec3 ref; out vec3 R; out vec2 T, M;
void main(){T=maskuv;M=texuv;R=ref;gl_Position=vec4(uv*2.-1.,0,1);}
"""
)

FRAGMENT = (
    VERSION
    + """
in vec3 R; in vec2 T, M;
layout(location=0) out vec4 albedo; layout(location=1) out vec4 props; layout(location=2) out vec4 wrinkles;
uniform sampler2D masks, photo; // masks: lips, lid margin, mouth, ears; photo: detail of a skin around 1/2
uniform int beardkind;
uniform float melanin,blood,freckles,moles,age,stubble,goateeonly,brow,makeup,liner,seed,scalpcover,browup,phototone;
uniform vec3 lipcol,haircol,browcol;
"""
    + NOISE
    + GROWTH
    + """
float B(vec3 c,vec3 s){return blob(R,c,s);}
float ridge(float v,float sharp){return pow(.5+.5*sin(v),sharp);}
void main(){
 vec4 m=texture(masks,T);vec3 s=vec3(seed,seed*.37,seed*1.7);float x=abs(R.x);
 float big=fbm(R*3.+s),mid=fbm(R*9.+s),fine=fbm(R*30.+s),pore=noise(R*150.+s)*.6+noise(R*90.+s)*.4;
 float face=smoothstep(6.2,6.5,R.y)*smoothstep(.2,.9,R.z),old=smoothstep(30.,78.,age);
 // Distance from the margin of the lids: 0 on it, growing outwards on the skin; upper and lower lid.
 float lid=(m.g-.502)*-2.*step(.02,T.x+T.y);float near=step(abs(R.y-7.29),.4)*step(.9,R.z);
 float upper=smoothstep(-.02,.02,R.y-7.285+.06*smoothstep(.32,.5,x));
 lid=mix(1.,lid,near);
 float cheek=B(vec3(.45,6.97,1.30),vec3(.24,.20,.4)),nose=B(vec3(0,6.98,1.72),vec3(.17,.16,.22)),
  socket=B(vec3(.28,7.17,1.40),vec3(.20,.09,.3)),hood=B(vec3(.31,7.37,1.40),vec3(.22,.07,.3));
 float mel=melanin*(1.+.22*(big-.47)+.16*(mid-.47)+.10*(fine-.47))+.05*socket*(.3+melanin)+.03*hood;
 float hb=blood*(1.+.8*(mid-.45)+.4*(fine-.47))+.30*blood*(cheek*1.2+nose*1.2+m.a*.9+.5*B(vec3(0,6.35,1.5),vec3(.15,
  .12,.3)))
  +.08*socket+.07*hood-.12*blood*smoothstep(7.5,7.8,R.y)+old*.25*blood*(mid-.4)*(cheek+nose);
 float fr=spots(R*26.+s,.35,.42)*.6+spots(R*44.+s,.3,.4)*.4;
 mel+=freckles*fr*(.35+cheek+nose+.5*B(vec3(.0,7.7,1.4),vec3(.6,.3,.5)))*face;
 mel+=1.3*moles*spots(R*3.1+s*3.,.07,.10)*face+.9*moles*spots(R*5.3+s*5.,.05,.10)*face;
 mel+=.45*smoothstep(45.,80.,age)*spots(R*7.+s*2.,.18,.30)*face*(.5+mid)*(.4+.6*step(melanin,.6));
 vec3 c=vec3(.85,.715,.605)*exp(-mel*vec3(1.20,1.56,1.80)-hb/(1.+.5*melanin)*vec3(.12,.76,.66));
 c*=.94+.12*pore;
 vec3 detail=clamp(texture(photo,M).rgb*2.,.5,1.7);detail=mix(vec3(dot(detail,vec3(.3,.59,.11))),detail,.55);
 detail=mix(vec3(1),detail,mix(1.,smoothstep(.25,.75,lid),near));
 c*=mix(vec3(1),detail,phototone);
 // Lips: thin skin, much blood, upright creases; the border is soft.
 float lip=smoothstep(.35,.95,m.r+.25*(mid-.5));
 float crease=noise(vec3(R.x*55.,R.y*7.,R.z*9.)+s);
 vec3 lc=mix(vec3(.86,.70,.64)*exp(-(melanin*1.0+.16)*vec3(1.0,1.45,1.6)-(blood*.75+.16)*vec3(.22,1.08,.86)),lipcol,
  makeup*.8);
 lc*=mix(vec3(1),.5+.5*detail,phototone);
 c=mix(c,lc*(.84+.20*crease),lip*.80);
 float seam=(1.-smoothstep(0.,.030,abs(R.y-6.612-.02*x)))*smoothstep(.36,.30,x)*step(1.2,R.z);
 c*=1.-.35*seam*(1.-m.b);
 // Brows, stubble and scalp as colour below the hairs.
 float bm=browshape(R,browup,brow,noise(vec3(R.x*50.-sign(R.x)*R.y*40.,R.y*30.,1.)+s));
 c=mix(c,browcol,bm*.82*(.6+.6*noise(vec3(R.x*90.-sign(R.x)*R.y*70.,R.y*40.,2.)+s)));
 float area=beardarea(R,m.r,mid)*(1.-m.b)*(1.-smoothstep(.1,.6,m.a));area*=mix(1.,goatee(R),goateeonly);
 float grown=beardkind==3?moustache(R)*(1.-smoothstep(.05,.5,m.r)):beardkind==1?area:0.;
 float st=stubble*area*(.45+.75*noise(R*95.+s));
 c=mix(c,haircol*.55+vec3(.010,.013,.016),clamp(st*.60,0.,.9));
 float hm=smoothstep(-.07,.10,scalp(R)+.10*(mid-.47)+.06*(fine-.5))*(1.-m.a);
 c=mix(c,haircol*.6+.004,hm*scalpcover);
 // Lids: the line of the lashes, the crease above, shade in the corners.
 float lash=exp(-sq((lid-.05)/.09))*near;
 c=mix(c,vec3(.016,.012,.011),lash*mix(.30,.62,upper)*(1.-.35*smoothstep(0.2,.10,x))*(.75+.25*liner));
 c=mix(c,vec3(.012),liner*upper*near*(1.-smoothstep(.10,.26,lid))*step(-.1,lid)*.8);
 float fold=exp(-sq((lid-.40-.12*(mid-.5))/.10))*upper*near*smoothstep(.10,.17,x)*smoothstep(.56,.46,x);
 c*=1.-.42*fold*vec3(.85,1.,1.05);
 float under=exp(-sq((lid-.42)/.16))*(1.-upper)*near;c*=1.-(.08+.16*old)*under;
 c=mix(c,vec3(.55,.30,.27)*c.r*1.5,.45*smoothstep(.03,-.05,lid)*near);     // the rim itself is pink and wet
 c=mix(c,c*vec3(.85,.55,.50),near*exp(-sq(length(vec2(x-.165,R.y-7.262))/.028))*.8);
 c=mix(c,vec3(.36,.12,.10)*(.8+.4*mid),m.b);
 // Height: pores, creases of the lips, wrinkles of age.
 float fore=smoothstep(7.60,7.74,R.y)*smoothstep(8.20,7.95,R.y)*smoothstep(.72,.35,x)*smoothstep(.8,1.2,R.z);
 float lines=ridge((R.y+.035*sin(R.x*5.+seed)+.07*(big-.5)-.10*x*x)*46.,6.)*fore*(.5+mid);
 float crow=ridge(atan(R.y-7.27,x-.42)*15.+mid*5.,4.)*B(vec3(.62,7.26,1.15),vec3(.13,.15,.35));
 float bag=ridge((R.y+.10*x*x)*70.+mid*3.,3.)*B(vec3(.32,7.12,1.4),vec3(.20,.06,.3));
 float frown=exp(-sq((x-.075-.02*(R.y-7.5))/.022))*smoothstep(7.34,7.44,R.y)*smoothstep(7.70,7.58,R.y)*step(1.,R.z);
 float fold2=6.62+.40*smoothstep(.42,.16,x);float nasolabial=0.;
 { vec2 a=vec2(.185,6.98),b=vec2(.40,6.60),q=vec2(x+.06*sin((R.y-6.6)*4.),R.y)-a,ab=b-a;
  float t=clamp(dot(q,ab)/dot(ab,ab),0.,1.);
   nasolabial=exp(-sq(length(q-ab*t)/.035))*smoothstep(0.,.15,t)*smoothstep(1.,.75,t)*step(1.,R.z); }
 float whisker=ridge((R.x+.10*sin(R.y*9.))*42.,3.)*B(vec3(0,6.80,1.5),vec3(.26,.07,.3))*(1.-lip);
 float h=.5+.15*(pore-.5)*face+.12*(fine-.47)+.09*(mid-.47)-.18*crease*lip-.02*fr*freckles+.06*bm+.06*st-.18*fold
  -old*(.24*lines+.20*crow+.16*bag+.18*frown+.12*whisker)-.16*(.15+old)*nasolabial;
 c*=1.-old*(.14*lines+.14*crow+.10*bag+.16*frown+.08*whisker)-(.03+.15*old)*nasolabial;
 wrinkles=vec4(lines+.25*fore*ridge(R.y*46.,4.),frown+.3*B(vec3(.0,7.42,1.5),vec3(.05,.10,.3)),crow*.8+bag*.5,
  nasolabial);
 float tz=max(nose,max(B(vec3(0,7.75,1.5),vec3(.35,.28,.4)),.6*B(vec3(.0,6.42,1.5),vec3(.2,.15,.3))));
 float rough=mix(.52,.42,tz)+.10*(pore-.5)+.05*(mid-.5);rough=mix(rough,.36-.08*makeup,lip);
 float wet=smoothstep(.10,-.02,lid)*near;rough=mix(rough,.22,wet);
 float spec=mix(.70,1.15,tz)*(.8+.4*pore);spec=mix(spec,1.05,lip)*(1.-.9*hm*scalpcover)*(1.-.5*st)*(1.-.6*bm);
 spec=mix(spec,1.7,wet);
 albedo=vec4(sqrt(clamp(c,0.,1.)),clamp(h,.004,1.));
  props=vec4(clamp(rough,.2,.9),clamp(spec*.6,0.,1.),max(grown,bm),lip);
}"""
)

DILATE_VERTEX = VERSION + "in vec2 pos;out vec2 T;void main(){T=pos*.5+.5;gl_Position=vec4(pos,0,1);}"

DILATE_FRAGMENT = (
    VERSION
    + """
in vec2 T; uniform sampler2D a,b,w; uniform float px;
layout(location=0) out vec4 albedo; layout(location=1) out vec4 props; layout(location=2) out vec4 wrinkles;
void main(){
 vec2 best=T;
 if(textureLod(a,T,0.).a==0.){
  float found=99.;
  for(int i=0;i<48;i++){float r=1.+float(i/12)*2.5,t=float(i%12)*.5236;vec2 q=T+vec2(cos(t),sin(t))*r*px;
   if(r<found&&textureLod(a,q,0.).a>0.){found=r;vec2 deep=q+vec2(cos(t),sin(t))*px;
  best=textureLod(a,deep,0.).a>0.?deep:q;}}}
 albedo=textureLod(a,best,0.);props=textureLod(b,best,0.);wrinkles=textureLod(w,best,0.);
}"""
)
"""Bleeds paint beyond the seams, so that they do not show under mipmapping."""
