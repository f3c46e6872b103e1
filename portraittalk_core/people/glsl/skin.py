"""Skin, and fur on it: brows, beards and short hair as shells."""

from .common import BUMP, COVER, GROWTH, LIGHT, NOISE, POSE, VERSION

VERTEX = (
    VERSION
    + """
in vec3 pos, nrm, nrm2, light, ref; in vec4 wts; in vec2 uv;
out vec3 P,N,N2,L,R; out vec2 T; out vec4 S;
"""
    + POSE
    + """
void main(){
 mat4 m=blend(wts);vec4 q=m*vec4(pos,1);P=q.xyz;N=mat3(m)*nrm;N2=mat3(m)*nrm2;L=light;R=ref;T=uv;
 S=shadowproj*q;gl_Position=viewproj*q;}
"""
)

FRAGMENT = (
    VERSION
    + """
in vec3 P,N,N2,L,R; in vec2 T; in vec4 S; out vec4 o;
uniform sampler2D albedo, props, wrinkles; uniform vec4 furrow; uniform float bump, oil, neckline, vneck; uniform vec3 mouthpos;
float edge(vec3 r){return length((r-vec3(0,6.12,.02))*vec3(1,1,.95))-neckline-vneck*max(0.,.42-abs(r.x))*smoothstep(0.,.4,r.z);}
"""
    + LIGHT
    + BUMP
    + """
void main(){
 if(R.y<6.05&&edge(R)>.025)discard;
 vec4 a=texture(albedo,T),p=texture(props,T),w=texture(wrinkles,T)*furrow;vec3 c=a.rgb*a.rgb;
 float lines=w.x+w.y+w.z+w.w;c*=1.-.22*min(lines,1.5);
 vec3 V=normalize(eye-P),n=normalize(N),ns=normalize(N2);
 vec3 nb=bumped(P,n,a.a-.42*lines,bump);float inside=p.b;
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
 vec3 H=normalize(V+keydir);float nh=max(dot(nb,H),0.),nv=max(dot(nb,V),.02),nl=max(dot(nb,keydir),0.);
 float F=.028+.6*pow(1.-max(dot(V,H),0.),5.);
 float r=p.r,r2=r*r,q2=r*1.6;q2*=q2;
 float sp=mix(pow(nh,2./(r2*r2))/(r2*r2),pow(nh,2./(q2*q2))/(q2*q2),.55)*.28;
 float occ=clamp(dot(L,vec3(.4))/max(dot(environment(n,4.),vec3(.4)),.01),0.,1.);
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
in vec3 pos, nrm, light, ref, comb; in vec4 wts; in vec2 fur;   // fur: length, lips or ears
out vec3 P,N,L,R,C; out vec2 G; out float SH;
uniform float layer, thickness;
"""
    + POSE
    + LIGHT
    + """
void main(){
 mat4 m=blend(wts);vec4 q=m*vec4(pos+(nrm*layer+comb*layer*layer*.6)*fur.x*thickness,1);
 P=q.xyz;N=normalize(mat3(m)*nrm);L=light;R=ref;G=fur;C=comb;
 SH=shadow1(shadowproj*(q+vec4(N*.03,0)),.012);gl_Position=viewproj*q;}
"""
)

FUR_COMMON = (
    NOISE
    + GROWTH
    + COVER
    + """
uniform float layer, seed, density, browup, brow, goateeonly, curl, fade; uniform int kind;
float grows(vec3 R,float lip){
 float n=noise(R*9.+seed);
 if(kind==0)return smoothstep(-.05,.16,scalp(R)+.12*(n-.5)+.05*(noise(R*31.+seed)-.5))*(1.-smoothstep(.1,.4,lip));
 if(kind==1){float a=beardarea(R,lip,n);return a*mix(1.,goatee(R),goateeonly);}
 if(kind==3)return moustache(R)*(1.-smoothstep(.05,.5,lip));
 return browshape(R,browup,brow,n);}
float strands(vec3 R,vec3 C){
 vec3 q=R-C*layer*.22;float a=noise(q*34.*mix(1.,.5,curl)+seed),b=noise(q*78.+seed*2.),c=noise(q*12.+seed*3.);
 return a*.42+b*.38+c*.20;}
float furalpha(vec3 R,vec3 C,float lip){
 float g=grows(R,lip);if(g<.02)return 0.;
 float t=mix(.95,.26,g*density)+.34*layer*fade;
 return smoothstep(t-.06,t+.20,strands(R,C))*smoothstep(0.,.25,g)*mix(1.,.55,float(kind==2));}
"""
)

FUR_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,L,R,C; in vec2 G; in float SH; out vec4 o; uniform vec3 hair1, hair2; uniform float grey, gloss;
"""
    + LIGHT
    + FUR_COMMON
    + """
void main(){
 float a=furalpha(R,C,G.y);if(a<.02)discard;
 vec3 V=normalize(eye-P),n=normalize(N+.5*C);
 float v=noise(R*41.+seed*1.3),g=step(.62,noise(R*57.+seed*2.1)*.7+grey*.75);
 vec3 c=mix(hair1,hair2,v*.8+.2*layer);c=mix(c,vec3(.30),g*grey);
 float occ=mix(.40,1.,layer);vec3 t=normalize(mix(C,N,.35));
 float tl=dot(t,keydir),tv=dot(t,V),sl=sqrt(max(0.,1.-tl*tl)),sv=sqrt(max(0.,1.-tv*tv));
 float wrap=clamp((dot(n,keydir)+.35)/1.35,0.,1.);
 vec3 col=c*(keycol*wrap*SH*(.55+.45*sl)+L)*occ;
 col+=keycol*SH*wrap*gloss*pow(max(0.,sl*sv-tl*tv),22.)*(.012+c*.45)*occ+environment(reflect(-V,n),.7)*.010*occ*gloss;
 o=vec4(col,1);cover(a,layer*7.);
}"""
)
