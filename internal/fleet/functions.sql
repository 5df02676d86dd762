-- The gate. Its functions belong to the version of the tables, and are made anew with each migration.
--
-- start and finish lock the installation's row first and read the clock afterwards: who waited for the lock must not start by
-- the time at which it began to wait. In READ COMMITTED each statement sees what was committed before it, so what follows the
-- lock sees all that earlier holders of it did.

-- is_down reports whether the site is taken not to work for a worker. What was so an hour ago was another night's.
CREATE OR REPLACE FUNCTION senddigest.is_down(w senddigest.worker) RETURNS boolean LANGUAGE sql AS $$
    SELECT w.down_since IS NOT NULL AND w.retry_at > clock_timestamp() - interval '1 h'
$$;

-- others reports whether the site may well work for another worker than this one: for one that lives (fleet.WorkerLost) it did
-- at last, or it is not known of this night. Where the other proves nothing while this one tries again and again, in vain, it
-- does not count.
DROP FUNCTION IF EXISTS senddigest.others;
CREATE FUNCTION senddigest.others(me senddigest.worker) RETURNS boolean LANGUAGE sql AS $$
    SELECT me.doubts < 5 AND EXISTS (
        SELECT FROM senddigest.worker w
        WHERE w.installation = me.installation AND w.id <> me.id AND w.seen > clock_timestamp() - interval '15 s'
            AND NOT senddigest.is_down(w))
$$;

-- keep_time notes how late it is. Where the database's clock was set back, nothing that had been noted waits until it has caught
-- up: neither a place, the rate, a pause, a trial and the next try of a task, nor what was proven. Each is no sooner than it would
-- be if it had begun now. What a task waits for before its first try, which may be the site's own guard, stays.
-- The caller has the gate.
DROP FUNCTION IF EXISTS senddigest.keep_time;
CREATE FUNCTION senddigest.keep_time(i senddigest.installation, now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    step interval := i.clock - now;
BEGIN
    UPDATE senddigest.installation SET clock = now WHERE id = i.id;
    IF step < '0' THEN
        RETURN;
    END IF;
    UPDATE senddigest.installation SET probe_at = least(probe_at, now + probe_pause),
        tat = CASE WHEN rate > 0 THEN least(tat, now + make_interval(secs => burst / rate)) ELSE tat END,
        paused_until = CASE WHEN paused_until > now THEN paused_until - step ELSE paused_until END,
        down_since = CASE WHEN down_since > now THEN now ELSE down_since END
        WHERE id = i.id;
    UPDATE senddigest.worker SET started = least(started, now), seen = least(seen, now), reached = least(reached, now),
        failed_at = CASE WHEN failed_at > now THEN now ELSE failed_at END,
        down_since = CASE WHEN down_since > now THEN now ELSE down_since END,
        retry_at = least(retry_at, now + retry_pause) WHERE installation = i.id;
    UPDATE senddigest.attempt SET started = least(started, now), settles = least(settles, now + (settles - started)),
        holds = least(holds, now + (holds - coalesce(ended, started))), ended = CASE WHEN ended > now THEN now ELSE ended END
        WHERE installation = i.id AND holds > now AND (ended IS NULL OR holds > i.clock);
    UPDATE senddigest.task SET not_before = least(not_before, now + greatest(settle, interval '1 min'))
        WHERE not_before > now AND isfinite(not_before) AND attempts > 0 AND NOT done
            AND night IN (SELECT id FROM senddigest.night WHERE installation = i.id AND ended IS NULL);
END $$;

-- enter takes the gate until the transaction ends, and returns the installation as it is then. start and finish begin with it;
-- whoever follows a night calls it for the clock: where all that is left of the night waits, nobody calls start.
CREATE OR REPLACE FUNCTION senddigest.enter(p_installation bigint) RETURNS senddigest.installation LANGUAGE plpgsql AS $$
DECLARE
    i senddigest.installation;
    now timestamptz;
BEGIN
    SELECT * INTO i FROM senddigest.installation WHERE id = p_installation FOR UPDATE;
    now := clock_timestamp();
    IF i.clock NOT BETWEEN now - interval '1 s' AND now + interval '1 s' THEN -- not each time: it is a write
        PERFORM senddigest.keep_time(i, now);
        SELECT * INTO i FROM senddigest.installation WHERE id = p_installation;
    END IF;
    RETURN i;
END $$;

-- start asks whether a request for a task may leave. It does where the answer is go, and the attempt is on record then.
-- wait, in seconds, is when to ask again at the earliest. p_least is the shortest time to settle that the worker's own
-- time-out allows.
DROP FUNCTION IF EXISTS senddigest.start;
CREATE FUNCTION senddigest.start(
    p_task bigint, p_worker text, p_least interval,
    OUT answer text, OUT wait float8, OUT attempt bigint, OUT number int, OUT site text, OUT grp text
) LANGUAGE plpgsql AS $$
DECLARE
    t senddigest.task;
    n senddigest.night;
    i senddigest.installation;
    a senddigest.attempt;
    w senddigest.worker;
    now timestamptz;
    taken int;
    gap interval;
    due timestamptz;
    slack CONSTANT interval := '5 ms'; -- a timer may be so late, and is made up for
BEGIN
    wait := 0;
    SELECT * INTO n FROM senddigest.night WHERE id = (SELECT night FROM senddigest.task WHERE id = p_task);
    i := senddigest.enter(n.installation);
    now := clock_timestamp();
    SELECT * INTO t FROM senddigest.task WHERE id = p_task;
    SELECT * INTO n FROM senddigest.night WHERE id = t.night;
    IF t.id IS NULL OR t.done THEN
        answer := 'done';
        RETURN;
    END IF;
    IF n.stopped IS NOT NULL OR n.ended IS NOT NULL THEN
        answer := 'stopped';
        RETURN;
    END IF;
    SELECT * INTO a FROM senddigest.attempt x
        WHERE x.installation = i.id AND x.campaign = n.campaign AND x.site = t.site AND x.grp = t.grp AND x.ended IS NULL;
    IF FOUND THEN
        answer := 'open';
        attempt := a.id;
        wait := greatest(extract(epoch FROM a.settles - now), 0);
        RETURN;
    END IF;
    IF t.not_before > now THEN
        answer := 'open';
        wait := CASE WHEN isfinite(t.not_before) THEN extract(epoch FROM t.not_before - now) ELSE 3600 END;
        RETURN;
    END IF;
    SELECT * INTO w FROM senddigest.worker WHERE id = p_worker;
    IF w.down_since IS NOT NULL AND senddigest.others(w) AND (w.retry_at > now OR EXISTS (
        SELECT FROM senddigest.attempt x WHERE x.worker = w.id AND x.ended IS NULL AND x.started >= w.down_since AND x.installation = i.id))
    THEN -- one trial at a time, now and then: what is refused takes no time, and what hangs takes a place
        answer := 'rest';
        wait := greatest(extract(epoch FROM w.retry_at - now), 1);
        RETURN;
    END IF;
    due := CASE WHEN i.open THEN greatest(i.paused_until, i.probe_at) ELSE i.paused_until END;
    IF i.paused OR due > now THEN
        answer := 'paused';
        wait := CASE WHEN i.paused THEN 1 ELSE extract(epoch FROM due - now) END;
        RETURN;
    END IF;
    SELECT count(*) INTO taken FROM senddigest.attempt x WHERE x.installation = i.id AND x.holds > now
        AND (x.ended IS NULL OR x.ended <= now); -- otherwise its end was before the clock was set back
    IF taken >= i.workers THEN
        answer := 'full';
        RETURN;
    END IF;
    IF i.rate > 0 THEN
        gap := make_interval(secs => 1 / i.rate);
        due := i.tat - (i.burst - 1) * gap;
        IF due > now THEN
            answer := 'pace';
            wait := extract(epoch FROM due - now);
            RETURN;
        END IF;
        UPDATE senddigest.installation SET tat = greatest(tat, now - slack) + gap WHERE id = i.id;
    END IF;
    IF i.open THEN
        UPDATE senddigest.installation SET probe_at = now + probe_pause WHERE id = i.id;
    END IF;
    IF senddigest.is_down(w) THEN
        UPDATE senddigest.worker SET retry_at = now + retry_pause WHERE id = w.id;
    ELSIF w.down_since IS NOT NULL THEN
        UPDATE senddigest.worker SET down_since = NULL, streak = 0, doubts = 0 WHERE id = w.id;
    END IF;
    UPDATE senddigest.task SET attempts = attempts + 1, counted = counted + 1 WHERE id = t.id;
    INSERT INTO senddigest.attempt (task, night, installation, campaign, site, grp, worker, number, seq, started, settles, holds)
        VALUES (t.id, n.id, i.id, n.campaign, t.site, t.grp, p_worker, t.attempts + 1, nextval('senddigest.seq'), now,
            now + greatest(t.settle, p_least), now + greatest(t.settle, p_least))
        RETURNING id INTO attempt;
    answer := 'go';
    number := t.attempts + 1;
    site := t.site;
    grp := t.grp;
END $$;

-- finish puts on record how an attempt ended, by its id and no other way. An attempt that is closed already stays as it is,
-- but for one of unknown fate: what its worker knows of it comes late, and is better.
--
-- p_outcome unsent: the request never left, and nothing was learnt. p_verdict is what follows for the task: done; again, in
-- p_wait seconds, where its tries are not used up; ambiguous, of which whoever runs the night decides.
DROP FUNCTION IF EXISTS senddigest.finish;
CREATE FUNCTION senddigest.finish(
    p_attempt bigint, p_outcome text, p_status int, p_reason text, p_detail text, p_not_delivered boolean, p_took float8,
    p_verdict text, p_wait float8, p_rest boolean, p_health text, p_pause float8, p_stop text, p_worker text,
    OUT verdict text, OUT wait float8
) LANGUAGE plpgsql AS $$
DECLARE
    a senddigest.attempt;
    n senddigest.night;
    i senddigest.installation;
    t senddigest.task;
    w senddigest.worker;
    now timestamptz;
    counts boolean := true;
    proven boolean;
    alone boolean := false; -- that the site does not work for this worker says nothing of the site
BEGIN
    wait := 0;
    i := senddigest.enter((SELECT installation FROM senddigest.attempt WHERE id = p_attempt));
    now := clock_timestamp();
    SELECT * INTO a FROM senddigest.attempt WHERE id = p_attempt FOR UPDATE;
    SELECT * INTO t FROM senddigest.task WHERE id = a.task;
    SELECT * INTO n FROM senddigest.night WHERE id = a.night;
    -- A database that was restored gives numbers out again, of which a worker may still keep the ends.
    IF p_worker <> '' AND p_worker <> a.worker THEN
        verdict := 'done';
        RETURN;
    END IF;
    IF a.id IS NULL OR a.ended IS NOT NULL AND (a.outcome NOT IN ('ambiguous', 'unsent') OR p_outcome IN ('unsent', a.outcome)) THEN
        verdict := 'done';
        RETURN;
    END IF;
    verdict := p_verdict;
    IF t.attempts > a.number AND p_outcome <> 'accepted' THEN
        verdict := 'done'; -- another attempt has been made since, and says what becomes of the task
        RETURN;
    END IF;

    SELECT * INTO w FROM senddigest.worker WHERE id = a.worker;
    IF w.id IS NOT NULL AND (p_health IN ('down', 'failing') OR p_outcome = 'unsent' AND a.started >= w.down_since) THEN
        IF w.down_task IS DISTINCT FROM t.id THEN
            w.streak := w.streak + 1;
        END IF;
        IF a.started >= w.down_since THEN -- it was a trial
            proven := EXISTS (SELECT FROM senddigest.worker x WHERE x.installation = i.id AND x.id <> w.id AND x.reached > w.failed_at);
            w.doubts := CASE WHEN proven THEN 0 WHEN a.started > w.failed_at THEN w.doubts + 1 ELSE w.doubts END;
            w.retry_pause := least(2 * w.retry_pause, interval '1 min');
        -- What never reached the site says at once that the way is cut; a group may have the site fail, or take too long, but
        -- three in a row seldom do.
        ELSIF p_health = 'down' AND p_not_delivered AND p_pause = 0 AND a.started >= w.reached OR w.streak >= 3 THEN
            w.down_since := coalesce(w.down_since, now);
            w.retry_pause := '5 s';
        END IF;
        alone := w.down_since IS NOT NULL AND senddigest.others(w);
        UPDATE senddigest.worker SET streak = w.streak, down_task = t.id, down_since = w.down_since, doubts = w.doubts, failed_at = now,
            retry_pause = w.retry_pause, retry_at = now + w.retry_pause WHERE id = w.id;
    ELSIF p_health IN ('up', 'crowded') AND (w.down_since IS NULL OR a.started >= w.down_since)
        AND (w.streak > 0 OR w.down_since IS NOT NULL OR w.reached < now - interval '10 s') THEN
        UPDATE senddigest.worker SET streak = 0, doubts = 0, down_task = NULL, down_since = NULL, reached = now WHERE id = w.id;
    END IF;
    IF alone THEN
        counts := false;
    ELSIF p_health IN ('down', 'failing') THEN
        IF i.open THEN
            counts := false;
            i.probe_pause := CASE WHEN p_health = 'failing' THEN interval '5 s' ELSE least(2 * i.probe_pause, interval '1 min') END;
            i.probe_at := now + i.probe_pause;
        ELSIF i.down_task IS DISTINCT FROM t.id THEN
            i.streak := i.streak + 1;
            i.open := i.streak >= 5;
            i.probe_pause := '5 s';
            i.probe_at := now + i.probe_pause;
        END IF;
        IF i.open AND counts THEN -- those that led to this do not count either
            counts := false;
            UPDATE senddigest.task x SET counted = greatest(x.counted - 1, 0)
                WHERE NOT x.done AND x.id <> t.id AND x.id IN (SELECT y.task FROM senddigest.attempt y
                    WHERE y.installation = i.id AND y.ended >= i.down_since AND y.verdict = 'again');
        END IF;
        i.down_since := coalesce(i.down_since, now);
        i.down_task := t.id;
        i.down_health := p_health;
    ELSIF p_health IN ('up', 'crowded') AND i.down_since IS NOT NULL AND a.started >= i.down_since THEN
        i.streak := 0;
        i.open := false;
        i.down_since := NULL;
        i.down_task := NULL;
    END IF;
    IF p_outcome = 'unsent' OR p_health IN ('crowded', 'noroom') THEN
        counts := false;
    END IF;
    i.paused_until := greatest(i.paused_until, now + make_interval(secs => p_pause));
    UPDATE senddigest.installation SET paused_until = i.paused_until, down_since = i.down_since, down_task = i.down_task,
        down_health = i.down_health,
        streak = i.streak, open = i.open, probe_at = i.probe_at, probe_pause = i.probe_pause WHERE id = i.id;

    IF NOT counts THEN
        t.counted := greatest(t.counted - 1, 0);
    END IF;
    IF verdict = 'again' AND t.counted > n.retries THEN
        verdict := 'done';
    END IF;
    IF verdict = 'again' THEN
        wait := p_wait;
    END IF;
    UPDATE senddigest.task SET counted = t.counted, done = done OR verdict = 'done',
        not_before = CASE verdict WHEN 'again' THEN now + make_interval(secs => p_wait)
            WHEN 'ambiguous' THEN 'infinity' ELSE not_before END
        WHERE id = t.id;
    UPDATE senddigest.attempt SET ended = coalesce(ended, now), seq = nextval('senddigest.seq'),
        holds = CASE WHEN a.ended IS NOT NULL THEN holds WHEN p_rest THEN now + n.throttle ELSE now END,
        took = make_interval(secs => p_took), outcome = p_outcome, status = p_status, reason = p_reason, detail = p_detail,
        not_delivered = p_not_delivered, verdict = finish.verdict, again = now + make_interval(secs => finish.wait)
        WHERE id = a.id;
    IF p_stop <> '' THEN
        UPDATE senddigest.night SET stopped = coalesce(stopped, p_stop) WHERE id = n.id;
    END IF;
END $$;
