#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <dirent.h>
#include <time.h>
#include <sys/resource.h>
static double cpu(void){struct timespec t;clock_gettime(CLOCK_PROCESS_CPUTIME_ID,&t);return t.tv_sec*1e6+t.tv_nsec/1e3;}
int main(int c,char**v){struct rlimit r={19000,20000};setrlimit(RLIMIT_NOFILE,&r);
 static int fd[20000];int n=0;DIR*d=opendir("/proc");struct dirent*e;char p[64],b[4096];
 while((e=readdir(d))){if(e->d_name[0]<'0'||e->d_name[0]>'9')continue;snprintf(p,64,"/proc/%s/%s",e->d_name,v[1]);int f=open(p,O_RDONLY);if(f>=0)fd[n++]=f;}
 double res[64];int R=atoi(v[2]);
 for(int i=0;i<R;i++){double a=cpu();for(int j=0;j<n;j++)pread(fd[j],b,4096,0);double z=cpu();res[i]=(z-a)/n;usleep(1000000);}
 for(int i=0;i<R;i++)for(int j=i+1;j<R;j++)if(res[j]<res[i]){double t=res[i];res[i]=res[j];res[j]=t;}
 printf("%s: %d files, median %.2f us\n",v[1],n,res[R/2]);}
