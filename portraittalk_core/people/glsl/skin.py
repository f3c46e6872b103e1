"""Skin, and fur on it: brows, beards and short hair as shells."""

from .common import BUMP, GROWTH, LIGHT, NECKLINE, NOISE, POSE, VERSION

VERTEX = (
    VERSION
    + """
in vec3 pos, nrm, nrm2, light, ref; in vec4 wts; in vec2 uv, inside;
out vec3 P,N,N2,L,R; out vec2 T; out vec4 S; out float I;
"""
    + POSE
    + """
void main(){
 mat4 m=blend(wts);vec4 q=m*vec4(pos,1);P=q.xyz;N=mat3(m)*nrm;N2=mat3(m)*nrm2;L=light;R=ref;T=uv;I=inside.x;
 S=shadowproj*q;gl_Position=viewproj*q;}
"""
)

FRAGMENT = (
    VERSION
    + """
in vec3 P,N,N2,L,R; in vec2 T; in vec4 S; in float I; out vec4 o;
uniform sampler2D albedo, props, wrinkles; uniform vec4 furrow; uniform float bump, oil, openlight;
   uniform vec3 mouthpos;
"""
    + NECKLINE
    + LIGHT
    + BUMP
    + """
void main(){
 if(R.y<6.05&&edge(R)>.13)discard;
 vec4 a=texture(albedo,T),p=texture(props,T),w=texture(wrinkles,T)*furrow;vec3 c=a.rgb*a.rgb;
 float lines=w.x+w.y+w.z+w.w;c*=1.-.22*min(lines,1.5);
 vec3 V=normalize(eye-P),n=normalize(N),ns=normalize(N2);
 vec3 nb=bumped(P,n,a.a-.42*lines,bump);float inside=smoothstep(.4,.6,I);
 float sh=shadow(S,.006);
 // Light scatters most in red: red sees a smoother normal and wraps round the terminator.
 vec3 nr=normalize(mix(nb,ns,.75)),ng=normalize(mix(nb,ns,.35));
 vec3 d=vec3(dot(nr,keydir),dot(ng,keydir),dot(nb,keydir));
 vec3 wrap=vec3(.34,.17,.11);vec3 diff=clamp((d+wrap)/(1.+wrap),0.,1.);diff*=diff*.35+.65;
 vec3 shc=vec3(pow(sh,.8),sh,pow(sh,1.1));
 vec3 e=L*(1.+.45*(dot(nb,vec3(0,1,0))-dot(n,vec3(0,1,0))));
 e=mix(e,e*vec3(1.06,.98,.95),.6);
 vec3 col=c*(keycol*diff*shc+e);
 // Two oily lobes.
 vec3 H=normalize(V+keydir);float nh=max(dot(nb,H),0.),nv=clamp(dot(nb,V),.02,1.),nl=max(dot(nb,keydir),0.);
 float F=.028+.6*pow(1.-clamp(dot(V,H),0.,1.),5.);
 float r=p.r,r2=r*r,q2=r*1.6;q2*=q2;
 float sp=mix(pow(nh,2./(r2*r2))/(r2*r2),pow(nh,2./(q2*q2))/(q2*q2),.55)*.28;
 float occ=clamp(dot(L,vec3(.4))*openlight,0.,1.);
 vec3 spec=keycol*sp*F*nl*sh*p.g*oil;
 float Fv=.028+.45*pow(1.-nv,5.);
 spec+=environment(reflect(-V,nb),r*1.2)*Fv*occ*p.g*.8*oil;
 // Inside the mouth it is dark and wet.
 float depth=clamp(length((P-mouthpos)*vec3(.8,1,1.2)),0.,1.);
 vec3 wet=c*(keycol*.35*(.4+.6*sh)+.7*e+.06*keycol)*vec3(.9,.5,.48)*mix(.50,.07,smoothstep(.05,.50,depth));
 o=vec4(mix(col+spec,wet+spec*.1,inside),1);
}"""
)

FUR_VERTEX = (
    VERSION
    + """
in vec3 pos, nrm, light, ref, comb; in vec4 wts; in vec2 fur, uv;   // fur: length, ears
out vec3 P,N,L,R,C; out vec2 G,T; out float SH;
uniform float layer, thickness;
"""
    + POSE
    + LIGHT
    + """
void main(){
 mat4 m=blend(wts);vec4 q=m*vec4(pos+(nrm*layer+comb*layer*layer*.6)*fur.x*thickness,1);
 P=q.xyz;N=normalize(mat3(m)*nrm);L=light;R=ref;G=fur;C=comb;T=uv;
 SH=shadow1(shadowproj*(q+vec4(N*.03,0)),.012);gl_Position=viewproj*q;}
"""
)

FUR_COMMON = (
    NOISE
    + GROWTH
    + """
uniform float layer, seed, density, curl, fade, pixel; uniform int kind;
uniform sampler2D props;
float grows(vec3 R,vec2 at,float ear){
 if(kind!=0)return texture(props,at).b;
 float n=noise(R*9.+seed);
 return smoothstep(-.05,.16,scalp(R)+.12*(n-.5)+.05*(noise(R*31.+seed)-.5))*(1.-smoothstep(.1,.4,ear));}
float strands(vec3 R,vec3 C){
 vec3 q=R-C*layer*.22;float a=noise(q*34.*mix(1.,.5,curl)+seed),b=noise(q*78.+seed*2.),c=noise(q*12.+seed*3.);
 a=mix(a,.5,.85*smoothstep(.012,.045,pixel));b=mix(b,.5,smoothstep(.006,.02,pixel));
 return a*.42+b*.38+c*.20;}
float furalpha(vec3 R,vec3 C,vec2 at,float ear,out float v){
 float g=grows(R,at,ear);v=.5;if(g<.02)return 0.;
 float t=(kind==1||kind==3)?mix(.62,.26,g*density)+.34*layer:mix(.95,.26,g*density)+.34*layer*fade;
 v=strands(R,C);
 return smoothstep(t-.14,t+.24,v)*mix(1.,g,float(kind==1||kind==3))*smoothstep(0.,.25,g)*mix(1.,.55,
  float(kind==2))*(1.-.45*layer*float(kind==0));}
"""
)

FUR_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,L,R,C; in vec2 G,T; in float SH; out vec4 o; uniform vec3 hair1, hair2, keydir, keycol, eye;
   uniform float grey, gloss;
"""
    + FUR_COMMON
    + """
void main(){
 float v,a=furalpha(R,C,T,G.y,v);if(a<.01)discard;
 vec3 V=normalize(eye-P),n=normalize(N+.5*C);
 v=clamp((v-.5)*2.2+.5,0.,1.);float g=smoothstep(.45,.75,fract(v*3.3)*.6+grey*.7);
 vec3 c=mix(hair1,hair2,v*.8+.2*layer);c=mix(c,vec3(.27),g*min(1.,grey*1.4));
 float occ=mix(.40,1.,layer);vec3 t=normalize(mix(C,N,.35));
 float tl=dot(t,keydir),tv=dot(t,V),sl=sqrt(max(0.,1.-tl*tl)),sv=sqrt(max(0.,1.-tv*tv));
 float wrap=clamp((dot(n,keydir)+.35)/1.35,0.,1.);
 vec3 col=c*(keycol*wrap*SH*(.55+.45*sl)+L)*occ;
 col+=keycol*SH*wrap*gloss*pow(max(0.,sl*sv-tl*tv),22.)*(.012+c*.45)*occ;
 o=vec4(col,a);
}"""
)
