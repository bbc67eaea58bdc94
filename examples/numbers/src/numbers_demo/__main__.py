from numbers_demo import main

main()
