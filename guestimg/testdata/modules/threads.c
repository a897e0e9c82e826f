/* Threads, mutexes, completions, waiting: what can be got wrong is counted. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/wait.h>

static DEFINE_MUTEX(mutex);
static DECLARE_COMPLETION(done);
static DECLARE_WAIT_QUEUE_HEAD(queue);
static int inside, worst, rounds, asleep, flag;

static int worker(void *data)
{
	long n = (long)data;
	int i;

	for (i = 0; i < n; i++) {
		mutex_lock(&mutex);
		if (++inside > worst)
			worst = inside;
		yield();
		rounds++;
		inside--;
		mutex_unlock(&mutex);
	}
	complete(&done);
	while (!kthread_should_stop())
		usleep_range(10, 20);
	return (int)n;
}

/* nr threads of n rounds each: the sum of what they return, or what failed. */
long threads_run(long nr, long n)
{
	struct task_struct **t = kcalloc(nr, sizeof(*t), GFP_KERNEL);
	long i, sum = 0;

	for (i = 0; i < nr; i++) {
		t[i] = kthread_run(worker, (void *)n, "worker/%ld", i);
		if (IS_ERR(t[i]))
			return PTR_ERR(t[i]);
		if (t[i]->mm || !(t[i]->flags & PF_KTHREAD))
			return -EINVAL;
	}
	for (i = 0; i < nr; i++)
		wait_for_completion(&done);
	for (i = 0; i < nr; i++)
		sum += kthread_stop(t[i]);
	kfree(t);
	return worst == 1 && !mutex_is_locked(&mutex) ? sum : -EIO;
}

static int sleeper(void *data)
{
	wait_event(queue, READ_ONCE(flag));
	asleep--;
	return 0;
}

long threads_wake(void)
{
	struct task_struct *t = kthread_create(sleeper, NULL, "sleeper");

	asleep = 1;
	wake_up_process(t);
	msleep(1);
	if (!asleep)
		return -1;
	WRITE_ONCE(flag, 1);
	wake_up_all(&queue);
	return kthread_stop(t) + asleep;
}

/* A wait that times out, one that is woken in time, one in state RUNNING. */
long threads_timeout(void)
{
	struct task_struct *t;
	long left;

	if (wait_event_timeout(queue, READ_ONCE(inside) == 77, 3) != 0)
		return -1;
	if (schedule_timeout_uninterruptible(2) != 0)
		return -2;
	left = schedule_timeout(10 * HZ);
	if (left < 10 * HZ - 1)
		return -3;
	flag = 0;
	asleep = 1;
	t = kthread_run(sleeper, NULL, "sleeper");
	WRITE_ONCE(flag, 1);
	wake_up(&queue);
	left = wait_event_timeout(queue, !READ_ONCE(asleep), 50);
	if (left < 1 || left > 50)
		return -4;
	kthread_stop(t);
	if (wait_for_completion_timeout(&done, 1) != 0)
		return -5;
	complete(&done);
	return wait_for_completion_timeout(&done, 5);
}

/* How many ns more than asked for a wait took; negative: too short. */
long threads_delay(int how)
{
	ktime_t start = ktime_get();
	unsigned long j = jiffies;
	long want = 3 * NSEC_PER_MSEC;

	switch (how) {
	case 0: mdelay(3); break;
	case 1: udelay(3000); break;
	case 2: ndelay(3000000); break;
	case 3: msleep(3); break;
	}
	if (jiffies - j < 3 || !time_after(jiffies, j) || jiffies_to_msecs(jiffies - j) > 4)
		return -1;
	return ktime_to_ns(ktime_sub(ktime_get(), start)) - want;
}

/* Fills four chunks of 512 words; every CPU's part is its own. */
long threads_percpu(void)
{
	long __percpu *first = alloc_percpu(long), *p;
	int cpu, n = 0;

	for_each_possible_cpu(cpu)
		*per_cpu_ptr(first, cpu) = cpu + 1;
	while (n < 2047 && (p = alloc_percpu(long)) != NULL && p != first) {
		for_each_possible_cpu(cpu)
			if ((*per_cpu_ptr(p, cpu))++)
				return -1;
		n++;
	}
	for_each_possible_cpu(cpu)
		if (*per_cpu_ptr(first, cpu) != cpu + 1)
			return -2;
	free_percpu(first);
	return alloc_percpu(long) == first ? n : -3;
}

int threads_warn(int x)
{
	synchronize_rcu();
	if (WARN(x > 1, "x is %d\n", x))
		return 1;
	return WARN_ON_ONCE(x == 1);
}

int threads_lock_twice(void)
{
	mutex_lock(&mutex);
	mutex_lock(&mutex);
	return 0;
}

int threads_lock_atomic(void)
{
	preempt_disable();
	mutex_lock(&mutex);
	return 0;
}

MODULE_LICENSE("GPL");
