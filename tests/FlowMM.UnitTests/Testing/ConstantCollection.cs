namespace FlowMM.UnitTests.Testing;

/// <summary>Collects garbage and runs finalisers without a pause until it is disposed: what native code reads must be held by someone.</summary>
internal sealed class ConstantCollection : IDisposable
{
    private readonly Thread _collector;
    private volatile bool _done;

    internal ConstantCollection()
    {
        _collector = new Thread(() =>
        {
            while (!_done)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        _collector.Start();
    }

    public void Dispose()
    {
        _done = true;
        _collector.Join();
    }
}
