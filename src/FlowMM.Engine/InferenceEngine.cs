using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using FlowMM.Abstractions;
using FlowMM.Model;
using Microsoft.Extensions.Logging;

namespace FlowMM.Engine;

/// <summary>
/// The engine of one device: one thread owns the device, the sessions' caches and every tensor. Callers queue turns and read events;
/// a step is Schedule, Run, Publish.
/// </summary>
public sealed partial class InferenceEngine : IDisposable
{
    private readonly ChatModel _model;
    private readonly EngineOptions _options;
    private readonly ILogger<InferenceEngine> _logger;
    private readonly ResidentSessions _sessions;
    private readonly Scheduler _scheduler;
    private readonly StepRunner _runner;
    private readonly Channel<Action> _commands;
    private readonly ConcurrentDictionary<string, (int Tokens, long Bytes)> _residents = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private int _queued;

    /// <summary>Starts the engine's thread.</summary>
    /// <param name="model">The model; the engine does not dispose it.</param>
    /// <param name="options">How the device is shared.</param>
    /// <param name="logger">Where failed steps are told.</param>
    public InferenceEngine(ChatModel model, EngineOptions options, ILogger<InferenceEngine> logger)
    {
        (_model, _options, _logger) = (model, options, logger);
        _sessions = new ResidentSessions(options.CacheBytes);
        _scheduler = new Scheduler(options, model, _sessions);
        _runner = new StepRunner(model);
        _commands = Channel.CreateBounded<Action>(new BoundedChannelOptions(2 * options.QueueCapacity) { SingleReader = true });
        _thread = new Thread(Loop) { IsBackground = true, Name = "flowmm-engine" };
        _thread.Start();
    }

    /// <summary>The model that it runs.</summary>
    public ChatModel Model => _model;

    /// <summary>Turns that wait or run.</summary>
    public int Load => Volatile.Read(ref _queued);

    /// <summary>Sessions in device memory.</summary>
    public int ResidentSessions => _residents.Count;

    /// <summary>Bytes that their caches reserve.</summary>
    public long CacheBytes => _residents.Values.Sum(r => r.Bytes);

    /// <summary>Bytes of a session's cache in device memory, or 0.</summary>
    /// <param name="session">The conversation's key.</param>
    public long BytesOf(string session) => _residents.TryGetValue(session, out (int, long Bytes) held) ? held.Bytes : 0;

    /// <summary>Runs a turn. Cancelling ends it at the next step with what it has; it still ends with an <see cref="EndEvent"/>.</summary>
    /// <param name="input">The turn.</param>
    /// <param name="cancellationToken">Ends the answer early.</param>
    /// <exception cref="RefusedException">The queue or the cache memory is full, or a picture is refused.</exception>
    public async IAsyncEnumerable<EngineEvent> Generate(TurnInput input, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _queued) > _options.QueueCapacity)
        {
            Interlocked.Decrement(ref _queued);
            throw new RefusedException(ErrorCode.ResourceExhausted, $"The node's queue of {_options.QueueCapacity} turns is full.");
        }

        try
        {
            Sequence sequence = await Prepare(input, cancellationToken);
            await _commands.Writer.WriteAsync(() => _scheduler.Add(sequence), _stop.Token);
            await using CancellationTokenRegistration cancel = cancellationToken.Register(() => sequence.Cancelled = true);
            await foreach (EngineEvent happened in sequence.Events.ReadAllAsync(CancellationToken.None))
            {
                yield return happened;
            }
        }
        finally
        {
            Interlocked.Decrement(ref _queued);
        }
    }

    /// <summary>Frees a session's cache.</summary>
    /// <param name="session">The conversation's key.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public async Task Forget(string session, CancellationToken cancellationToken)
    {
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await _commands.Writer.WriteAsync(
            () =>
            {
                if (_sessions.Find(session) is { Busy: false })
                {
                    _sessions.Remove(session);
                    _residents.TryRemove(session, out _);
                }

                done.SetResult();
            },
            cancellationToken);
        await done.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Stops the thread; running turns end with an error.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _commands.Writer.TryComplete();
        _thread.Join();
        _stop.Dispose();
    }

    /// <summary>Decodes the pictures that the turn may need, away from the engine's thread.</summary>
    private async Task<Sequence> Prepare(TurnInput input, CancellationToken cancellationToken)
    {
        // A session that is evicted between here and its admission would miss its pictures, so an idle one that is resident
        // counts as having them only while the engine says so; Run asks again for what is missing.
        Dictionary<string, ProcessedImage> images = [];
        bool resident = _residents.ContainsKey(input.Session);
        IEnumerable<TokenRun> needed = resident ? [input.Prompt] : [.. input.History, input.Prompt];
        foreach (string hash in needed.SelectMany(r => r.Images).Select(i => i.Hash).Distinct())
        {
            ReadOnlyMemory<byte> bytes = await input.LoadImage(hash, cancellationToken);
            images[hash] = await Task.Run(() => _model.Images!.Preprocess(bytes), cancellationToken);
        }

        return new Sequence(input, images, new StreamingDetokenizer(_model.Tokenizer));
    }

    private void Loop()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                TakeCommands(wait: _scheduler.Running == 0 && _scheduler.Waiting == 0);
                Step();
            }
        }
        catch (OperationCanceledException)
        {
            // Dispose was called while the engine waited for work.
        }
        finally
        {
            _scheduler.FailAll(new RefusedException(ErrorCode.Unavailable, "The node is shutting down."));
            _sessions.Dispose();
        }
    }

    private void TakeCommands(bool wait)
    {
        if (wait && !_commands.Reader.WaitToReadAsync(_stop.Token).AsTask().GetAwaiter().GetResult())
        {
            return;
        }

        while (_commands.Reader.TryRead(out Action? command))
        {
            command();
        }
    }

    private void Step()
    {
        Batch batch = _scheduler.Schedule();
        foreach (Sequence sequence in batch.Decoding)
        {
            Try(sequence, () => Publish(sequence, _runner.Decode(sequence)));
        }

        if (batch.Prefilling is Sequence prefilling)
        {
            Try(prefilling, () => Publish(prefilling, _runner.Prefill(prefilling, batch.ChunkLength)));
        }
    }

    /// <summary>Runs one sequence's part of a step; an error ends that sequence alone and drops its cache.</summary>
    private void Try(Sequence sequence, Action work)
    {
        try
        {
            work();
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            StepFailed(error, error.GetType().Name);
            sequence.Fail(error is RefusedException ? error : new RefusedException(ErrorCode.Unavailable, "The turn failed on its node; try it again."));
            _sessions.Remove(sequence.Input.Session);
            _residents.TryRemove(sequence.Input.Session, out _);
        }
    }

    private void Publish(Sequence sequence, int? token)
    {
        ResidentSession resident = sequence.Resident!;
        if (token is int id)
        {
            sequence.Push(id, _model.EndIds, resident.Cache.LogicalLength + 1 >= _model.ContextLength);
        }

        _residents[sequence.Input.Session] = (resident.Fed.Count, resident.Cache.Bytes);
    }

    [LoggerMessage(1, LogLevel.Error, "A step failed with {Error}; its sequence was ended.")]
    private partial void StepFailed(Exception exception, string error);
}
