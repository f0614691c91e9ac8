using FlowMM.Model.Kernels;
using Xunit;

namespace FlowMM.UnitTests.Model.Kernels;

public sealed class WorkerTeamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Run_WithMeetings_KeepsPhasesApart(int size)
    {
        using WorkerTeam team = new(size);
        for (int round = 0; round < 20; round++)
        {
            Phases work = new(size, 50);
            team.Run(work);
            Assert.Equal(50 * size, work.Done);
            Assert.False(work.Mixed);
        }
    }

    [Fact]
    public void Run_ShareThrows_ThrowsItAndGoesOn()
    {
        using WorkerTeam team = new(3);
        for (int culprit = 0; culprit < 3; culprit++)
        {
            int failing = culprit;
            InvalidDataException error = Assert.Throws<InvalidDataException>(() => team.Run(new Failing(failing)));
            Assert.Equal($"worker {failing}", error.Message);
            Phases work = new(3, 10);
            team.Run(work);
            Assert.Equal(30, work.Done);
        }
    }

    [Fact]
    public void Run_WorkersThatSleep_AreWoken()
    {
        using WorkerTeam team = new(2);
        for (int round = 0; round < 5; round++)
        {
            // Longer than anybody spins.
            Thread.Sleep(5);
            Phases work = new(2, 3);
            team.Run(work);
            Assert.Equal(6, work.Done);
        }
    }

    [Fact]
    public void Dispose_Twice_EndsThreads()
    {
        WorkerTeam team = new(3);
        team.Dispose();
        team.Dispose();
        Assert.Throws<ObjectDisposedException>(() => team.Run(new Phases(3, 1)));
    }

    private sealed class Phases(int size, int phases) : ITeamWork
    {
        private int _done;

        public int Done => _done;

        public bool Mixed { get; private set; }

        public void Run(WorkerTeam team, int worker)
        {
            for (int phase = 0; phase < phases; phase++)
            {
                Interlocked.Increment(ref _done);
                team.Meet(worker);
                Mixed |= Volatile.Read(ref _done) != (phase + 1) * size;
                team.Meet(worker);
            }
        }
    }

    private sealed class Failing(int culprit) : ITeamWork
    {
        public void Run(WorkerTeam team, int worker)
        {
            team.Meet(worker);
            if (worker == culprit)
            {
                throw new InvalidDataException($"worker {worker}");
            }

            for (int i = 0; i < 10; i++)
            {
                team.Meet(worker);
            }
        }
    }
}
